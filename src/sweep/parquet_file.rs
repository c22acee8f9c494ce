//! A sweep as a Parquet file: the columns of the CSV, each with its type.
//!
//! One row group of uncompressed pages in plain encoding, which every reader must know: so little that the format's crate
//! would add more packages than this has pages. Field numbers are those of `parquet.thrift` of Apache Parquet 2.10, in
//! Thrift's compact protocol.

use super::table::{SweepRow, SweepTable, VERDICTS, column};

/// First and last bytes of a file.
const MAGIC: &[u8; 4] = b"PAR1";

/// The values of a column, one for each row.
enum Values {
    Text(Vec<String>),
    Whole(Vec<i64>),
    /// Absent where a row has no such figure.
    Number(Vec<Option<f64>>),
    Flag(Vec<bool>),
}

impl Values {
    /// The values of a varied setting: numbers if all are.
    fn of_setting(values: &[&str]) -> Self {
        if let Ok(whole) = values.iter().map(|value| value.parse()).collect() {
            return Self::Whole(whole);
        }
        let number = |value: &&str| value.parse().ok().filter(|number: &f64| number.is_finite());
        match values.iter().map(number).collect::<Option<Vec<f64>>>() {
            Some(numbers) => Self::Number(numbers.into_iter().map(Some).collect()),
            None => Self::Text(values.iter().map(ToString::to_string).collect()),
        }
    }

    /// `Type` of the format.
    const fn kind(&self) -> i64 {
        match self {
            Self::Flag(_) => 0,
            Self::Whole(_) => 2,
            Self::Number(_) => 5,
            Self::Text(_) => 6,
        }
    }

    fn rows(&self) -> usize {
        match self {
            Self::Text(values) => values.len(),
            Self::Whole(values) => values.len(),
            Self::Number(values) => values.len(),
            Self::Flag(values) => values.len(),
        }
    }

    /// The values in plain encoding; of a column whose values may be absent, which are there before them.
    fn page(&self) -> Vec<u8> {
        let mut page = Vec::new();
        match self {
            Self::Text(values) => {
                for value in values {
                    page.extend(length(value.len()));
                    page.extend(value.as_bytes());
                }
            }
            Self::Whole(values) => page.extend(values.iter().flat_map(|value| value.to_le_bytes())),
            Self::Number(values) => {
                let levels = levels(values);
                page.extend(length(levels.len()));
                page.extend(levels);
                page.extend(values.iter().flatten().flat_map(|value| value.to_le_bytes()));
            }
            Self::Flag(values) => page.extend(values.chunks(8).map(|eight| {
                let bits = eight.iter().enumerate();
                bits.fold(0, |byte, (place, flag)| byte | u8::from(*flag) << place)
            })),
        }
        page
    }
}

/// Runs of values that are there or not: twice the length of a run, and whether its values are there.
fn levels(values: &[Option<f64>]) -> Vec<u8> {
    let mut levels = Vec::new();
    for run in values.chunk_by(|one, next| one.is_some() == next.is_some()) {
        varint(run.len() as u64 * 2, &mut levels);
        levels.push(u8::from(run[0].is_some()));
    }
    levels
}

/// A length as four bytes.
fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes()
}

fn varint(mut value: u64, to: &mut Vec<u8>) {
    while value >= 0x80 {
        to.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    to.push(value.to_le_bytes()[0]);
}

/// A structure in Thrift's compact protocol; fields come in the order of their numbers.
#[derive(Default)]
struct Thrift {
    bytes: Vec<u8>,
    last: u8,
}

impl Thrift {
    /// The difference to the number of the last field, and the type.
    fn field(&mut self, number: u8, kind: u8) {
        self.bytes.push((number - self.last) << 4 | kind);
        self.last = number;
    }

    fn whole(mut self, number: u8, value: i64) -> Self {
        self.field(number, 6);
        zigzag(value, &mut self.bytes);
        self
    }

    fn short(mut self, number: u8, value: i64) -> Self {
        self.field(number, 5);
        zigzag(value, &mut self.bytes);
        self
    }

    fn text(mut self, number: u8, value: &str) -> Self {
        self.field(number, 8);
        text(value, &mut self.bytes);
        self
    }

    fn nested(mut self, number: u8, value: Self) -> Self {
        self.field(number, 12);
        self.bytes.extend(value.end());
        self
    }

    /// A list of elements of this type, each as it is written.
    fn list(mut self, number: u8, kind: u8, elements: &[Vec<u8>]) -> Self {
        self.field(number, 9);
        if let Ok(few @ ..15) = u8::try_from(elements.len()) {
            self.bytes.push(few << 4 | kind);
        } else {
            self.bytes.push(0xF0 | kind);
            varint(elements.len() as u64, &mut self.bytes);
        }
        self.bytes.extend(elements.concat());
        self
    }

    fn end(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }
}

fn zigzag(value: i64, to: &mut Vec<u8>) {
    varint((value << 1 ^ value >> 63).cast_unsigned(), to);
}

fn text(value: &str, to: &mut Vec<u8>) {
    varint(value.len() as u64, to);
    to.extend(value.as_bytes());
}

/// A file of these columns.
fn file(columns: &[(String, Values)]) -> Vec<u8> {
    let rows = columns.first().map_or(0, |(_, values)| values.rows());
    let whole = |size: usize| i64::try_from(size).unwrap_or(i64::MAX);
    let mut file = MAGIC.to_vec();
    let mut schema = vec![Thrift::default().text(4, "sweep").short(5, whole(columns.len())).end()];
    let mut chunks = Vec::new();
    for (name, values) in columns {
        let is_optional = i64::from(matches!(values, Values::Number(_)));
        let element = Thrift::default().short(1, values.kind()).short(3, is_optional).text(4, name);
        // UTF-8.
        let is_text = matches!(values, Values::Text(_));
        schema.push(if is_text { element.short(6, 0) } else { element }.end());
        let page = values.page();
        // Plain encoding is 0, that of levels 3.
        let data = Thrift::default().short(1, whole(rows)).short(2, 0).short(3, 3).short(4, 3);
        let size = whole(page.len());
        let header = Thrift::default().short(1, 0).short(2, size).short(3, size).nested(5, data);
        let (start, header) = (whole(file.len()), header.end());
        let size = whole(header.len() + page.len());
        file.extend(header);
        file.extend(page);
        let mut path = Vec::new();
        text(name, &mut path);
        // Both of them, in zigzag.
        let encodings = [vec![0], vec![6]];
        let meta = Thrift::default()
            .short(1, values.kind())
            .list(2, 5, &encodings)
            .list(3, 8, &[path])
            .short(4, 0)
            .whole(5, whole(rows))
            .whole(6, size)
            .whole(7, size)
            .whole(9, start);
        chunks.push(Thrift::default().whole(2, start).nested(3, meta).end());
    }
    let group = Thrift::default()
        .list(1, 12, &chunks)
        .whole(2, whole(file.len() - MAGIC.len()))
        .whole(3, whole(rows));
    let footer = Thrift::default()
        .short(1, 1)
        .list(2, 12, &schema)
        .whole(3, whole(rows))
        .list(4, 12, &[group.end()])
        .text(6, concat!("wavetank version ", env!("CARGO_PKG_VERSION")))
        .end();
    let size = length(footer.len());
    file.extend(footer);
    file.extend(size);
    file.extend(MAGIC);
    file
}

impl SweepTable {
    /// As a Parquet file with the columns of the CSV: settings as numbers where all of their values are, figures as
    /// numbers that may be absent.
    pub fn parquet(&self) -> Vec<u8> {
        let mut columns: Vec<(String, Values)> = Vec::new();
        for (place, path) in self.varied.iter().enumerate() {
            let values: Vec<&str> = self.rows.iter().map(|row| &*row.values[place]).collect();
            columns.push((path.clone(), Values::of_setting(&values)));
        }
        let rows = || self.rows.iter();
        let joined = |list: fn(&SweepRow) -> &Vec<String>| {
            Values::Text(self.rows.iter().map(|row| list(row).join("; ")).collect())
        };
        let verdicts = [
            Values::Flag(rows().map(|row| row.meets_objectives).collect()),
            Values::Flag(rows().map(|row| row.is_cheapest).collect()),
            joined(|row| &row.missed),
            joined(|row| &row.never_ran),
            joined(|row| &row.troubles),
        ];
        columns.extend(VERDICTS.map(str::to_owned).into_iter().zip(verdicts));
        for name in self.figure_names() {
            let values = rows().map(|row| row.figure(name)).collect();
            columns.push((column(name), Values::Number(values)));
        }
        file(&columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_numbers_if_all_of_them_are() {
        assert!(matches!(Values::of_setting(&["1", "-2"]), Values::Whole(_)));
        assert!(matches!(Values::of_setting(&["1", "2.5"]), Values::Number(_)));
        assert!(matches!(Values::of_setting(&["1", "500m"]), Values::Text(_)));
        assert!(matches!(Values::of_setting(&["1", "inf"]), Values::Text(_)));
    }

    /// PyArrow 26.0 and DuckDB 2.0 read it as: `nodes` 1, 2, 300 (int64), `load p95 [ms]` 1.5, absent, 2.5 (double), `met`
    /// true, false, true (bool), `missed` "", "a; ü", "b" (string).
    #[test]
    fn a_file_of_all_types_is_what_other_readers_take() {
        let text = ["", "a; ü", "b"].map(str::to_owned);
        let columns = [
            ("nodes", Values::of_setting(&["1", "2", "300"])),
            ("load p95 [ms]", Values::Number(vec![Some(1.5), None, Some(2.5)])),
            ("met", Values::Flag(vec![true, false, true])),
            ("missed", Values::Text(text.to_vec())),
        ];
        let columns = columns.map(|(name, values)| (name.to_owned(), values));
        assert_eq!(file(&columns), include_bytes!("data/four_columns.parquet"));
    }
}
