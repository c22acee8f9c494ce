//! Failures and scripted changes.
