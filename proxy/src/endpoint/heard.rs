//! The news that other proxies have told, for endpoints that are not here yet: a proxy that has just started hears of cooldowns before it
//! knows whom they are about.

use std::collections::BTreeMap;
use std::time::Instant;

use super::news::{EndpointName, News, Subject};

/// The most news that is kept; what ends first goes first.
const MOST: usize = 4_096;

/// News by what it is about.
#[derive(Debug, Default)]
pub(super) struct NewsMemory(BTreeMap<(EndpointName, Subject), Instant>);

impl NewsMemory {
    /// Keeps a piece of news; of one subject the last counts.
    pub(super) fn note(&mut self, news: News, now: Instant) {
        let key = (news.name, news.subject);
        if news.until <= now {
            self.0.remove(&key);
            return;
        }
        if self.0.len() >= MOST && !self.0.contains_key(&key) {
            self.0.retain(|_, until| *until > now);
        }
        if self.0.len() >= MOST && !self.0.contains_key(&key) {
            let soonest = self.0.iter().min_by_key(|(_, until)| **until).map(|(key, _)| *key);
            soonest.into_iter().for_each(|soonest| _ = self.0.remove(&soonest));
        }
        self.0.insert(key, news.until);
    }

    /// The news that holds of an endpoint.
    pub(super) fn of(&self, name: EndpointName, now: Instant) -> impl Iterator<Item = (Subject, Instant)> {
        let of = self.0.range((name, Subject::Cooldown)..).take_while(move |((of, _), _)| *of == name);
        of.filter(move |(_, until)| **until > now).map(|((_, subject), until)| (*subject, *until))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_last_word_counts_until_its_end_and_what_is_kept_is_bounded() {
        let (mut heard, now) = (NewsMemory::default(), Instant::now());
        let name = |number: u64| {
            let mut name = [0; 16];
            name[..8].copy_from_slice(&number.to_be_bytes());
            EndpointName(name)
        };
        let news =
            |number, subject, seconds| News { name: name(number), subject, until: now + Duration::from_secs(seconds) };
        heard.note(news(1, Subject::Cooldown, 5), now);
        heard.note(news(1, Subject::Scarce(7), 9), now);
        heard.note(news(2, Subject::Circuit, 9), now);
        heard.note(news(2, Subject::Circuit, 0), now);
        let of = |heard: &NewsMemory, number, at: u64| -> Vec<Subject> {
            heard.of(name(number), now + Duration::from_secs(at)).map(|(subject, _)| subject).collect()
        };
        assert_eq!(of(&heard, 1, 0), [Subject::Cooldown, Subject::Scarce(7)]);
        assert_eq!((of(&heard, 1, 6), of(&heard, 2, 0)), (vec![Subject::Scarce(7)], vec![]));
        for number in 0..9_000 {
            heard.note(news(number, Subject::Limited, 100 + number), now);
        }
        assert_eq!(heard.0.len(), MOST);
        assert_eq!((of(&heard, 3, 0).len(), of(&heard, 8_999, 0).len()), (0, 1));
    }
}
