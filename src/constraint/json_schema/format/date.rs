//! Dates and times of RFC 3339, durations of its appendix A.

/// Dates of the Gregorian calendar: the lengths of months and the leap years are regular.
pub(super) fn date() -> String {
    let any_year = "[0-9]{4}";
    let fours = "(?:0[48]|[2468][048]|[13579][26])";
    let leap_year = format!("(?:[0-9]{{2}}{fours}|(?:00|{fours})00)");
    format!(
        "(?:{any_year}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)\
         |02-(?:0[1-9]|1[0-9]|2[0-8]))|{leap_year}-02-29)"
    )
}

/// Times with an offset. A leap second is taken at any minute; [`leap_second_is_right`] knows better.
pub(super) fn time() -> String {
    let hour_minute = "(?:[01][0-9]|2[0-3]):[0-5][0-9]";
    format!(r"{hour_minute}:(?:[0-5][0-9]|60)(?:\.[0-9]+)?(?:[Zz]|[+-]{hour_minute})")
}

pub(super) fn date_time() -> String {
    format!("{}[Tt]{}", date(), time())
}

/// Weeks stand alone; other units are in order and without gaps.
pub(super) fn duration() -> String {
    let time = "T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S)";
    let day = "[0-9]+D";
    let month = format!("[0-9]+M(?:{day})?");
    let year = format!("[0-9]+Y(?:{month})?");
    format!("P(?:[0-9]+W|(?:{day}|{month}|{year})(?:{time})?|{time})")
}

/// Whether a leap second, if the text of a time or date and time has one, is the last of a day in UTC.
pub(super) fn leap_second_is_right(text: &str) -> bool {
    let time = text.split_once(['T', 't']).map_or(text, |(_, time)| time);
    let Some((start, offset)) = time.find(['Z', 'z', '+', '-']).map(|at| time.split_at(at)) else { return false };
    if !start[6..].starts_with("60") {
        return true;
    }
    let minutes = |text: &str| -> i32 {
        let number = |text: &str| text.parse::<i32>().unwrap_or(0);
        number(&text[..2]) * 60 + number(&text[3..5])
    };
    let offset = match offset.split_at(1) {
        ("+", offset) => minutes(offset),
        ("-", offset) => -minutes(offset),
        _ => 0,
    };
    (minutes(start) - offset).rem_euclid(24 * 60) == 24 * 60 - 1
}
