//! Suggestions for misspelled names.

/// The known name most similar to a misspelled one, if it is similar enough.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance =
        |known: &str| strsim::osa_distance(&name.to_ascii_lowercase(), &known.to_ascii_lowercase());
    let (distance, nearest) = known
        .into_iter()
        .map(|known| (distance(known), known))
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= 1 + name.len() / 4).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_keyboard_is_understood_and_another_word_is_not() {
        let known = ["minReplicas", "maxReplicas", "metrics", "behavior"];
        assert_eq!(nearest("minReplica", known), Some("minReplicas"));
        assert_eq!(nearest("maxreplicas", known), Some("maxReplicas"));
        assert_eq!(nearest("behaviour", known), Some("behavior"));
        assert_eq!(nearest("template", known), None);
        assert_eq!(nearest("", known), None);
    }
}
