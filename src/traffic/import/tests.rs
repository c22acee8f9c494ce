//! Files as their tools write them, each turned into the one compact form.

use super::*;

fn imported(
    text: &str,
    change: impl FnOnce(&mut ImportOptions),
) -> (String, Summary, MalformedRows) {
    let format = Format::detect(text.as_bytes()).expect("a format that is known");
    let mut options = ImportOptions { max_broken: 0.5, ..ImportOptions::strict(format) };
    change(&mut options);
    let mut compact = Compact::new(Vec::new(), "test", None);
    let broken = import(text.as_bytes(), &options, &mut compact).expect("a trace");
    let (output, summary) = compact.finish().expect("memory takes all");
    (String::from_utf8(output).expect("text"), summary, broken)
}

/// The rows of the compact form without its comments.
fn rows(text: &str) -> String {
    let (output, ..) = imported(text, |_| {});
    output.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join(" ")
}

#[test]
fn each_tool_is_known_by_what_it_writes() {
    let combined =
        "1.2.3.4 - - [16/Nov/2023:12:00:00 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"curl\"";
    for (text, format) in [
        ("t_s,requests\n0,1\n", Format::Csv),
        ("12.5\n13\n", Format::Csv),
        ("2023-11-16T12:00:00Z\n", Format::Csv),
        ("Timestamp\n1\n", Format::Csv),
        (combined, Format::AccessLog),
        (&format!("P/1.1\" 200 5 \"-\" \"curl\"\n{combined}\n"), Format::AccessLog),
        (r#"{"time":"2023-11-16T12:00:00Z","status":200}"#, Format::JsonLines),
        (r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#, Format::Prometheus),
        ("metric_name,timestamp,metric_value,check\n", Format::K6Csv),
        (r#"{"type":"Metric","data":{"name":"http_reqs"},"metric":"http_reqs"}"#, Format::K6Json),
        ("1700136000000000000,200,1500000,10,20,,aGk=,big,0,GET,http://a/\n", Format::VegetaCsv),
        (
            r#"{"attack":"big","seq":0,"code":200,"timestamp":"2023-11-16T12:00:00Z"}"#,
            Format::VegetaJson,
        ),
    ] {
        assert_eq!(Format::detect(text.as_bytes()), Some(format), "{text}");
    }
    for text in ["", "\n\n", "hello world", "<html>"] {
        assert_eq!(Format::detect(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn requests_of_a_log_come_in_the_order_in_which_they_began() {
    // The second line was written later, but its request took 3 s and began first.
    let log = "\
a - - [16/Nov/2023:12:00:01 +0000] \"GET /a HTTP/1.1\" 200 5 \"-\" \"-\" 0.000
a - - [16/Nov/2023:12:00:03 +0000] \"GET /b HTTP/1.1\" 200 5 \"-\" \"-\" 3.000
a - - [16/Nov/2023:12:00:04 +0000] \"GET /a HTTP/1.1\" 200 5 \"-\" \"-\" 0.250
";
    assert_eq!(rows(log), "t_s 0 1 3.75");
    let (output, summary, _) = imported(log, |options| options.path = Some("/a".into()));
    assert_eq!(
        output, "# from: test\n# start: 2023-11-16T12:00:01Z\nt_s\n0\n2.75\n",
        "only those for /a"
    );
    assert_eq!((summary.requests, summary.lines), (Some(2.0), 2));
}

#[test]
fn requests_of_one_second_of_a_log_are_spread_over_it() {
    // 100 requests in each of 50 seconds; the log has no fractions of seconds.
    let line = |at: usize| {
        let (minute, second) = (at / 6000, at / 100 % 60);
        format!("a - - [16/Nov/2023:12:{minute:02}:{second:02} +0000] \"GET / HTTP/1.1\" 200 5\n")
    };
    let log: String = (0..5000).map(line).collect();
    let imported_rows = rows(&log);
    let at: Vec<f64> =
        imported_rows.split(' ').skip(1).map(|one| one.parse().expect("a number")).collect();
    assert_eq!(at.len(), 5000);
    let count = |from: f64, to: f64, of: &dyn Fn(f64) -> f64| {
        at.iter().filter(|at| (from..to).contains(&of(**at))).count()
    };
    for second in 0..50 {
        assert_eq!(
            count(f64::from(second), f64::from(second + 1), &|at| at),
            100,
            "in second {second}"
        );
    }
    // As many in each tenth of a second as chance has it: 500, give or take 21.
    for tenth in 0..10 {
        let within = count(f64::from(tenth), f64::from(tenth + 1), &|at| at.fract() * 10.0);
        assert!((420..=600).contains(&within), "{within} in tenth {tenth}");
    }
}

#[test]
fn a_counter_that_is_not_known_at_an_instant_has_not_begun_anew() {
    let answer = |values: &str| {
        format!(
            "{{\"status\":\"success\",\"data\":{{\"resultType\":\"matrix\",\"result\":[\
             {{\"metric\":{{\"__name__\":\"http_requests_total\"}},\"values\":[{values}]}}]}}}}"
        )
    };
    let gap = r#"[1700000000,"5"],[1700000060,"65"],[1700000120,"NaN"],[1700000180,"75"]"#;
    assert_eq!(rows(&answer(gap)), "t_s,requests 0,60 60,10");
    let anew = r#"[1700000000,"5"],[1700000060,"65"],[1700000120,"15"]"#;
    assert_eq!(rows(&answer(anew)), "t_s,requests 0,60 60,15");
}

#[test]
fn published_traces_are_read_as_they_are() {
    let azure_functions_2019 = {
        let minutes: Vec<String> = (1..=1440).map(|minute| minute.to_string()).collect();
        let calls = |first: &str| {
            let mut calls = vec!["0"; 1440];
            calls[0] = first;
            calls.join(",")
        };
        format!(
            "HashOwner,HashApp,HashFunction,Trigger,{}\no,a,f,http,{}\no,a,g,timer,{}\n",
            minutes.join(","),
            calls("3"),
            calls("4")
        )
    };
    assert!(rows(&azure_functions_2019).starts_with("t_s,requests 0,7 60,0 120,0 "));
    let azure_functions_2021 = "app,func,end_timestamp,duration\na,f,10.5,0.5\na,g,12,1\n";
    assert_eq!(rows(azure_functions_2021), "t_s 10 11");
    let burst_gpt = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n\
                     5,ChatGPT,472,18,490,Conversation log\n45,GPT-4,1087,230,1317,API log\n";
    assert_eq!(rows(burst_gpt), "t_s,prompt_tokens,output_tokens 5,472,18 45,1087,230");
    let serve_gen = "t_s,rate_rps,active_clients\n0,14.5,21\n600,18.25,22\n";
    assert_eq!(rows(serve_gen), "t_s,rps 0,14.5 600,18.25");
    let by_function = "t_s,function_index,invocations\n0,0,5\n0,1,2\n60,0,1\n";
    assert_eq!(rows(by_function), "t_s,requests 0,7 60,1");
    let mooncake = "{\"timestamp\": 0, \"input_length\": 6758, \"output_length\": 500, \"hash_ids\": [0]}\n\
                    {\"timestamp\": 3052, \"input_length\": 7322, \"output_length\": 490, \"hash_ids\": [0, 1]}\n\
                    {\"timestamp\": 4000, \"input_length\": 8000, \"output_length\": 9, \"hash_ids\": [0, 1, 2]}\n";
    let with_sessions =
        "t_s,prompt_tokens,output_tokens,session 0,6758,500,1 3.052,7322,490,2 4,8000,9,2";
    assert_eq!(rows(mooncake), with_sessions);
    // The compact form is read as it was written; sessions may have names elsewhere.
    assert_eq!(rows(&with_sessions.replace(' ', "\n")), with_sessions);
    let named = "ts,input_tokens,output_tokens,session_id\n0,5,6,a\n1,5,6,b\n2,5,6,a\n3,5,6,\n";
    let named = rows(named);
    let sessions: Vec<&str> =
        named.split(' ').skip(1).filter_map(|row| row.split(',').next_back()).collect();
    assert!(sessions[0] == sessions[2] && sessions[0] != sessions[1], "{named}");
    assert_eq!(sessions[3], "0");
}

#[test]
fn the_first_requests_may_be_of_no_session() {
    let csv = "t_s,prompt_tokens,output_tokens,session 60,5,6,0 61,5,6,7";
    assert_eq!(rows(&csv.replace(' ', "\n").replace(",0\n", ",\n")), csv);
    let mooncake = "{\"timestamp\": 0, \"input_length\": 10, \"output_length\": 5}\n\
                    {\"timestamp\": 1000, \"input_length\": 10, \"output_length\": 5, \"hash_ids\": [0, 1]}\n";
    assert_eq!(rows(mooncake), "t_s,prompt_tokens,output_tokens,session 0,10,5,0 1,10,5,1");
}

#[test]
fn sessions_are_kept_where_no_tokens_are_told() {
    let csv = "ts,session_id\n0,5\n1,6\n2,5\n";
    let kept = "t_s,prompt_tokens,output_tokens,session 0,0,0,5 1,0,0,6 2,0,0,5";
    assert_eq!(rows(csv), kept);
}

#[test]
fn rows_that_do_not_mix_are_told_by_their_line() {
    let text = "{\"ts\": 1}\n\n{\"ts\": 2}\n{\"ts\": 3, \"prompt_tokens\": 5}\n{\"ts\": 4}\n";
    let mut compact = Compact::new(Vec::new(), "test", None);
    let options = ImportOptions::strict(Format::JsonLines);
    let error = import(text.as_bytes(), &options, &mut compact).expect_err("mixed").to_string();
    assert!(
        error
            .starts_with("line 4: a trace cannot mix requests with and without tokens or sessions"),
        "{error}"
    );
}

#[test]
fn results_of_load_generators_are_read_as_they_are() {
    let locust = "Timestamp,User Count,Type,Name,Requests/s,Failures/s,50%\n\
                  1700136000,10,GET,/a,3.5,0,5\n1700136000,10,,Aggregated,7.5,0,5\n\
                  1700136001,10,,Aggregated,8,0,5\n";
    assert_eq!(rows(locust), "t_s,rps 0,7.5 1,8");
    let k6 = "metric_name,timestamp,metric_value,check,error,url\n\
              http_reqs,1700136002,1,,,http://a/b\nhttp_req_duration,1700136002,500,,,http://a/b\n\
              http_req_duration,1700136003,250,,,http://a/b\nvus,1700136003,5,,,\n";
    assert_eq!(rows(k6), "t_s 0 1.25");
    let vegeta = "1700136000000000000,200,1500000,10,20,,aGk=,big,0,GET,http://a/\n\
                  1700136000500000000,200,1500000,10,20,,aGk=,big,1,GET,http://a/\n";
    assert_eq!(rows(vegeta), "t_s 0 0.5");
}

#[test]
fn series_of_prometheus_add_up_and_counters_are_counted() {
    let rate = r#"{"status":"success","data":{"resultType":"matrix","result":[
        {"metric":{"pod":"a"},"values":[[1700136000,"1.5"],[1700136060,"NaN"]]},
        {"metric":{"pod":"b"},"values":[[1700136000,"2"],[1700136060,"4"]]}]}}"#;
    assert_eq!(rows(rate), "t_s,rps 0,3.5 60,4");
    let counter = r#"{"status":"success","data":{"resultType":"matrix","result":[
        {"metric":{"__name__":"http_requests_total"},
         "values":[[1700136000,"100"],[1700136060,"160"],[1700136120,"30"],[1700136180,"31"]]}]}}"#;
    assert_eq!(rows(counter), "t_s,requests 0,60 60,30 120,1", "a restart counts from zero");
}

#[test]
fn broken_rows_are_counted_and_too_many_are_refused() {
    let text = "t_s\n1\nsoon\n2\n-5\n3\n";
    let (_, summary, broken) = imported(text, |_| {});
    assert_eq!((summary.lines, broken.good, broken.count), (3, 3, 2));
    assert_eq!(broken.first[0].line, 3);
    let options = ImportOptions { max_broken: 0.1, ..ImportOptions::strict(Format::Csv) };
    let mut compact = Compact::new(Vec::new(), "test", None);
    let error = import(text.as_bytes(), &options, &mut compact).expect_err("too many").to_string();
    assert!(error.starts_with("line 3: \"soon\" is not a time"), "{error}");
    assert!(
        error.contains("; 2 of 5 rows are broken, 40.0 %, above the allowed 10.0 %"),
        "{error}"
    );
}

#[test]
fn requests_are_counted_by_interval_with_the_empty_ones() {
    let text = "t_s\n0.5\n1\n59.9\n200\n";
    let mut compact = Compact::new(Vec::new(), "test", Some(SimDuration::from_secs(60)));
    import(text.as_bytes(), &ImportOptions::strict(Format::Csv), &mut compact).expect("a trace");
    let (output, summary) = compact.finish().expect("memory takes all");
    let output = String::from_utf8(output).expect("text");
    assert_eq!(output, "# from: test\nt_s,requests\n0,3\n60,0\n120,0\n180,1\n");
    assert_eq!(summary.requests, Some(4.0));
}

#[test]
fn the_compact_form_is_read_back_with_its_date() {
    let text = "time\n2023-11-16T12:00:00.25Z\n2023-11-16T12:00:01Z\n";
    let (output, ..) = imported(text, |_| {});
    let again = super::super::Trace::read(output.as_bytes()).expect("a trace");
    let first = super::super::Trace::read(text.as_bytes()).expect("a trace");
    assert_eq!(again, first);
    assert_eq!(again.start().map(|at| at.to_string()).as_deref(), Some("2023-11-16T12:00:00.25Z"));
}

/// The common form of an access log.
fn log_line(second: u32, request: &str) -> String {
    format!("10.0.0.1 - - [16/Nov/2023:14:00:{second:02} +0000] \"{request} HTTP/1.1\" 200 512\n")
}

#[test]
fn requests_of_a_log_are_told_apart_by_method_and_path_without_identifiers() {
    let log = [
        log_line(1, "GET /cart/1234?x=1"),
        log_line(2, "GET /cart/99"),
        log_line(3, "POST /cart/3f2504e0-4f89"),
        log_line(4, "GET /cart/items, all"),
    ]
    .concat();
    let (written, summary, _) = imported(&log, |options| options.classes = true);
    let rows: Vec<&str> = written.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(rows[..4], ["t_s,class", "0,GET /cart/*", "1,GET /cart/*", "2,POST /cart/*"]);
    assert_eq!(rows[4], "3,\"GET /cart/items,\"");
    assert_eq!(summary.classes[0], ("GET /cart/*".to_owned(), 2));
    // Reading the output back gives the same rows.
    let (again, of_again, _) = imported(&written, |_| {});
    let rows_again: Vec<&str> = again.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!((rows_again, of_again.classes), (rows, summary.classes));
    let (plain, without, _) = imported(&log, |_| {});
    assert!(plain.contains("\nt_s\n") && without.classes.is_empty(), "{plain}");
}

#[test]
fn after_a_thousand_classes_a_further_one_is_other() {
    let rows: Vec<String> = (0..1_500).map(|row| format!("{row},class{row}\n")).collect();
    let (written, summary, _) = imported(&format!("t_s,class\n{}", rows.concat()), |_| {});
    assert_eq!(summary.classes[0], ("other".to_owned(), 500));
    assert_eq!(summary.classes.len(), 1_001);
    assert!(written.ends_with("1499,other\n"), "{}", &written[written.len() - 40..]);
}
