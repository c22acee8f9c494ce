//! x
#![allow(clippy::all, clippy::pedantic, missing_docs, clippy::disallowed_methods, clippy::print_stdout)]
fn main() {
    let path = std::env::args().nth(1).unwrap();
    let only = std::env::args().nth(2);
    let text = std::fs::read_to_string(path).unwrap();
    let (mut ok, mut bad) = (0, 0);
    for line in text.lines() {
        if let Some(o) = &only { if !line[..200].contains(o.as_str()) { continue; } }
        match wavetank_conform::cluster_autoscaler::replay(line.as_bytes()) {
            Ok(out) => for o in out { if o.agreed { ok += 1; println!("ok   {}", o.id) } else { bad += 1;
                let d = o.difference.unwrap();
                println!("DIFF {} {} {}\n   exp {}\n   got {}\n   in {}", o.id, d.at, d.field, d.expected, d.got, d.inputs);
                if only.is_some() { println!("{}", d.explanation) } } },
            Err(e) => { bad += 1; println!("ERR {} {e}", &line[..60]) }
        }
    }
    println!("{ok} ok {bad} bad");
}
