//! Many runs side by side: seeds and settings.
