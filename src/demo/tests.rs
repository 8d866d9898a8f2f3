//! The hour of the demo must show what it is there to show.

use std::collections::BTreeMap;

use opentelemetry::trace::SpanKind;

use super::clock::{Nanos, SECOND, minutes};
use super::fleet::Fleet;
use super::story::{Draft, Story};
use super::world::{CANARY_MODEL, Service};

fn hour(seed: u64) -> Vec<Story> {
    let mut fleet = Fleet::new(seed, 0);
    let mut stories = Vec::new();
    while fleet.next_arrival() < minutes(60) {
        stories.push(fleet.play_next());
    }
    stories
}

fn during(stories: &[Story], from: i64, until: i64) -> impl Iterator<Item = &Story> {
    stories.iter().filter(move |s| (minutes(from)..minutes(until)).contains(&s.drafts[0].start))
}

fn text(draft: &Draft, key: &str) -> Option<String> {
    draft.attributes.iter().find(|kv| kv.key.as_str() == key).map(|kv| kv.value.to_string())
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for value in values {
        sum += value;
        count += 1.0;
    }
    sum / f64::max(count, 1.0)
}

/// Attempts per call of those that `service` makes of the tool.
fn amplification<'a>(stories: impl Iterator<Item = &'a Story>, service: Service, tool: &str) -> f64 {
    let (mut attempts, mut calls) = (0.0, 0.0);
    for draft in stories.flat_map(|s| &s.drafts) {
        if draft.service == service
            && draft.kind == SpanKind::Client
            && text(draft, "gen_ai.tool.name").as_deref() == Some(tool)
        {
            attempts += 1.0;
            calls += f64::from(text(draft, "http.request.resend_count").is_none());
        }
    }
    attempts / calls
}

fn tool_wait_s<'a>(stories: impl Iterator<Item = &'a Story>) -> f64 {
    let searches = stories.flat_map(|s| &s.drafts).filter(|d| d.service == Service::Search);
    mean(
        searches
            .filter(|d| d.events.len() == 2)
            .map(|d| (d.events[1].0 - d.events[0].0) as f64 / SECOND as f64),
    )
}

fn wrong_share<'a>(stories: impl Iterator<Item = &'a Story>) -> f64 {
    mean(stories.filter_map(|s| s.judgement.as_ref()).map(|j| f64::from(!j.pass)))
}

fn is_canary(story: &Story) -> bool {
    text(&story.drafts[0], "gen_ai.request.model").as_deref() == Some(CANARY_MODEL)
}

#[test]
fn the_same_seed_tells_the_same_stories() {
    let shape = |seed| hour(seed).into_iter().take(300).map(|s| s.drafts).collect::<Vec<_>>();
    assert!(shape(7) == shape(7));
    assert!(shape(7) != shape(8));
}

#[test]
fn traces_are_well_formed_and_of_the_usual_size() {
    let stories = hour(1);
    assert!((15_000..25_000).contains(&stories.len()), "{} traces", stories.len());
    let mut sizes: Vec<usize> = stories.iter().map(|s| s.drafts.len()).collect();
    sizes.sort_unstable();
    assert!((12..=24).contains(&sizes[sizes.len() / 2]), "median {}", sizes[sizes.len() / 2]);
    for story in &stories {
        for (i, draft) in story.drafts.iter().enumerate() {
            assert!(draft.start <= draft.end, "{draft:?}");
            assert_eq!(draft.parent.is_none(), i == 0);
            let parent = draft.parent.map(|p| &story.drafts[p]);
            assert!(parent.is_none_or(|p| p.start <= draft.start), "{draft:?}");
        }
    }
}

#[test]
fn the_storm_is_amplified_in_layers() {
    let stories = hour(1);
    for service in [Service::ToolGateway, Service::AgentRuntime] {
        let calm = amplification(during(&stories, 0, 9), service, "crm_lookup");
        let storm = amplification(during(&stories, 9, 16), service, "crm_lookup");
        assert!(calm < 1.1 && storm > 1.4, "{}: {calm} then {storm}", service.name());
    }
}

#[test]
fn the_drifted_tool_is_asked_the_same_again_and_never_by_the_transport() {
    let stories = hour(1);
    let invalid = |from, until| {
        let drafts = during(&stories, from, until).flat_map(|s| &s.drafts);
        drafts
            .filter(|d| d.service == Service::Warehouse && d.kind == SpanKind::Server)
            .filter(|d| text(d, "error.type").as_deref() == Some("-32602"))
            .count()
    };
    assert!(invalid(17, 22) > 300, "{}", invalid(17, 22));
    assert_eq!(invalid(0, 17) + invalid(23, 60), 0);
    assert!(amplification(during(&stories, 17, 22), Service::ToolGateway, "run_query") < 1.1);
}

#[test]
fn the_saturating_tool_queues_before_it_fails() {
    let stories = hour(1);
    let calm = tool_wait_s(during(&stories, 17, 24));
    let early = tool_wait_s(during(&stories, 27, 30));
    let late = tool_wait_s(during(&stories, 32, 36));
    assert!(calm < 0.1 && early > 2.0 * calm && late > 2.0, "{calm} s, {early} s, {late} s");
    let refused = |from, until| {
        let drafts = during(&stories, from, until).flat_map(|s| &s.drafts);
        drafts
            .filter(|d| {
                d.service == Service::Search && text(d, "error.type").as_deref() == Some("queue_full")
            })
            .count()
    };
    assert_eq!(refused(24, 27), 0);
    assert!(refused(32, 36) > 20, "{}", refused(32, 36));
}

#[test]
fn the_canary_is_green_and_quick_and_wrong() {
    let stories = hour(1);
    let (canary, baseline): (Vec<&Story>, Vec<&Story>) =
        during(&stories, 42, 56).filter(|s| s.tenant.name == "northwind").partition(|s| is_canary(s));
    assert!(canary.len() > 200, "{}", canary.len());
    let failed = |s: &&&Story| s.drafts[0].error.is_some();
    assert!(canary.iter().filter(failed).count() * 50 < canary.len());
    let seconds = |s: &&Story| (s.drafts[0].end - s.drafts[0].start) as f64 / SECOND as f64;
    assert!(mean(canary.iter().map(seconds)) < mean(baseline.iter().map(seconds)));
    let (wrong, usual) = (wrong_share(canary.iter().copied()), wrong_share(baseline.iter().copied()));
    assert!(wrong > 0.3 && usual < 0.1, "{wrong} against {usual}");
}

#[test]
fn verdicts_come_seconds_to_minutes_late() {
    let mut late: Vec<Nanos> =
        hour(1).iter().filter_map(|s| Some(s.judgement.as_ref()?.at - s.drafts[0].end)).collect();
    late.sort_unstable();
    assert!(late[0] > SECOND && late[late.len() - 1] > minutes(2));
}

#[test]
fn model_servers_are_busy_but_not_swamped() {
    let mut by_tenant: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for story in hour(1) {
        for draft in story.drafts.iter().filter(|d| d.service == Service::ModelServer) {
            let wait =
                text(draft, "gen_ai.latency.time_in_queue").and_then(|t| t.parse().ok()).expect("a number");
            by_tenant.entry(story.tenant.name).or_default().push(wait);
        }
    }
    for (tenant, waits) in by_tenant {
        let mean = mean(waits.iter().copied());
        assert!((0.001..1.5).contains(&mean), "{tenant}: {mean} s");
    }
}
