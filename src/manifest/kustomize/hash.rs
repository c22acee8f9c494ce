//! Hash suffixes of generated names (`api/hasher`), based on SHA-256.

use serde_json::{Value, json};

/// The content hash of a ConfigMap or Secret.
pub(super) fn hash_of(value: &Value) -> String {
    let name = value.pointer("/metadata/name").cloned().unwrap_or_else(|| "".into());
    let held = |field: &str| value.get(field).cloned().unwrap_or_else(|| "".into());
    let mut hashed = json!({"kind": value["kind"], "name": name, "data": held("data")});
    if value["kind"] == "Secret" {
        hashed["type"] = held("type");
        if let Some(plain) = value.get("stringData") {
            hashed["stringData"] = plain.clone();
        }
    } else if let Some(binary) = value.get("binaryData") {
        hashed["binaryData"] = binary.clone();
    }
    let hex = sha256(go_json(&hashed).as_bytes()).into_iter().flat_map(|byte| {
        [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0'))
    });
    // Ambiguous characters, and those that could form words, are replaced.
    let plain = |c: char| match c {
        '0' => 'g',
        '1' => 'h',
        '3' => 'k',
        'a' => 'm',
        'e' => 't',
        other => other,
    };
    hex.take(10).map(plain).collect()
}

/// Serializes a value like Go's `json.Marshal`: sorted keys, and characters special in HTML
/// escaped.
fn go_json(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort();
            let fields = keys.into_iter().map(|key| {
                format!("{}:{}", go_json(&Value::from(key.as_str())), go_json(&fields[key]))
            });
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(go_json).collect::<Vec<_>>().join(","))
        }
        Value::String(_) => {
            let mut text = value.to_string();
            for (plain, escaped) in [
                ("&", "\\u0026"),
                ("<", "\\u003c"),
                (">", "\\u003e"),
                ("\u{2028}", "\\u2028"),
                ("\u{2029}", "\\u2029"),
                ("\u{7f}", "\u{7f}"),
            ] {
                text = text.replace(plain, escaped);
            }
            text
        }
        other => other.to_string(),
    }
}

/// SHA-256 (FIPS 180-4).
fn sha256(message: &[u8]) -> [u8; 32] {
    let mut state: [u32; 8] = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend((message.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks(64) {
        let mut words = [0_u32; 64];
        for (word, bytes) in words.iter_mut().zip(block.chunks(4)) {
            *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
        }
        for i in 16..64 {
            let (a, b) = (words[i - 15], words[i - 2]);
            let s0 = a.rotate_right(7) ^ a.rotate_right(18) ^ (a >> 3);
            let s1 = b.rotate_right(17) ^ b.rotate_right(19) ^ (b >> 10);
            words[i] = words[i - 16].wrapping_add(s0).wrapping_add(words[i - 7]).wrapping_add(s1);
        }
        let mut s = state;
        for (word, constant) in words.iter().zip(CONSTANTS) {
            let s1 = s[4].rotate_right(6) ^ s[4].rotate_right(11) ^ s[4].rotate_right(25);
            let choice = s[4] & s[5] ^ !s[4] & s[6];
            let first = s[7]
                .wrapping_add(s1)
                .wrapping_add(choice)
                .wrapping_add(constant)
                .wrapping_add(*word);
            let s0 = s[0].rotate_right(2) ^ s[0].rotate_right(13) ^ s[0].rotate_right(22);
            let majority = s[0] & s[1] ^ s[0] & s[2] ^ s[1] & s[2];
            let second = s0.wrapping_add(majority);
            s = [
                first.wrapping_add(second),
                s[0],
                s[1],
                s[2],
                s[3].wrapping_add(first),
                s[4],
                s[5],
                s[6],
            ];
        }
        for (total, part) in state.iter_mut().zip(s) {
            *total = total.wrapping_add(part);
        }
    }
    let mut digest = [0; 32];
    for (bytes, word) in digest.chunks_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

#[rustfmt::skip]
const CONSTANTS: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha_256_is_that_of_the_standard() {
        let hex = |text: &str| {
            let words = sha256(text.as_bytes());
            let words = words
                .chunks(4)
                .map(|word| word.iter().fold(0, |all, byte| all << 8 | u32::from(*byte)));
            words.map(|word| format!("{word:08x}")).collect::<Vec<_>>().concat()
        };
        assert_eq!(hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
