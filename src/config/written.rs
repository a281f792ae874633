//! `global_defs` as it is written, for state files.

use keepalived_compat::Config;
use keepalived_compat::config::global::{Garp, InstanceDefaults};
use keepalived_compat::config::setting::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Keyword to value; what plans hold in another form has an empty one.
pub(super) fn written(config: &Config) -> BTreeMap<String, String> {
    let global = &config.global;
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    let mut put = |keyword: &str, value: Option<String>| {
        if let Some(value) = value {
            all.insert(keyword.to_owned(), value);
        }
    };
    for setting in &global.others {
        put(setting.keyword, Some(text(&setting.value)));
    }
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs().to_string());
    let InstanceDefaults { version, garp, down_timer_adverts, group4, group6, .. } = &global.instance;
    let Garp { delay, repeat, refresh, refresh_repeat, lower_prio_delay, lower_prio_repeat } = garp;
    let number = |number: &Option<u32>| number.map(|number| number.to_string());
    put("vrrp_version", version.map(|version| version.to_string()));
    put("vrrp_down_timer_adverts", down_timer_adverts.map(|adverts| adverts.to_string()));
    put("vrrp_mcast_group4", group4.as_ref().map(|group| group.value.to_string()));
    put("vrrp_mcast_group6", group6.as_ref().map(|group| group.value.to_string()));
    put("vrrp_garp_master_delay", seconds(*delay));
    put("vrrp_garp_master_repeat", number(repeat));
    put("vrrp_garp_master_refresh", seconds(*refresh));
    put("vrrp_garp_master_refresh_repeat", number(refresh_repeat));
    put("vrrp_garp_lower_prio_delay", seconds(*lower_prio_delay));
    put("vrrp_garp_lower_prio_repeat", number(lower_prio_repeat));
    let switch = |on: Option<bool>| on.map(|on| on.to_string());
    put("vrrp_lower_prio_no_advert", switch(global.instance.lower_prio_no_advert));
    put("vrrp_higher_prio_send_advert", switch(global.instance.higher_prio_send_advert));
    put("vrrp_check_unicast_src", global.instance.check_unicast_source.then(String::new));
    put("vrrp_strict", global.instance.strict.map(|_| String::new()));
    put("lvs_flush", global.lvs_flush.then(String::new));
    put("enable_script_security", global.script_security.then(String::new));
    all
}

/// Times in seconds.
fn text(value: &Value) -> String {
    match value {
        Value::Bool(on) => on.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Time(time) => time.as_secs_f64().to_string(),
        Value::Text(text) => text.clone(),
        Value::Words(words) => words.join(" "),
        Value::Address(address) => address.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::lowered;

    #[test]
    fn what_stands_in_global_defs_is_kept_word_for_word() {
        let text = "global_defs {\nsmtp_helo_name here\nvrrp_garp_master_delay 3\nvrrp_gna_interval 0.001\n\
                    process_names\nrs_init_notifies off\nvrrp_version 3\nvrrp_mcast_group4 224.0.0.100\n}";
        let (plans, codes) = lowered(text);
        assert_eq!(codes, []);
        let all: Vec<String> =
            plans.global.written.iter().map(|(keyword, value)| format!("{keyword}={value}")).collect();
        let expected = [
            "process_names=",
            "rs_init_notifies=false",
            "smtp_helo_name=here",
            "vrrp_garp_master_delay=3",
            "vrrp_gna_interval=0.001",
            "vrrp_mcast_group4=224.0.0.100",
            "vrrp_version=3",
        ];
        assert_eq!(all, expected);
    }
}
