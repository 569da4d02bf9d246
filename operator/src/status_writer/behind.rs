//! Gateways that have said something of an object, and do not see it any longer.

use std::time::{Duration, Instant};

use crate::status::GatewayId;

/// A gateway that has not taken notice of a change, or of us, for so long sees the object no longer: the status becomes ours, or its
/// condition in ours is taken out.
pub(super) const UNHEEDED: Duration = Duration::from_secs(30);

/// The gateways whose conditions in a status of ours are of an earlier generation than the object, and since when each has been seen so.
#[derive(Debug, Default)]
pub(super) struct Behind(Vec<(GatewayId, i64, Instant)>);

impl Behind {
    /// Takes in those that are now, each with the generation that its condition is of. One that has told anew meanwhile is seen anew.
    pub(super) fn note(&mut self, found: Vec<(GatewayId, i64)>, now: Instant) {
        let since = |gateway: &GatewayId, told: i64| {
            let before = self.0.iter().find(|(known, of, _)| known == gateway && *of == told);
            before.map_or(now, |(_, _, since)| *since)
        };
        let noted = |(gateway, told): (GatewayId, i64)| {
            let since = since(&gateway, told);
            (gateway, told, since)
        };
        self.0 = found.into_iter().map(noted).collect();
    }

    /// Those that have been for so long that they see the object no longer.
    pub(super) fn gone(&self, now: Instant) -> Vec<GatewayId> {
        self.0.iter().filter(|(_, _, since)| *since + UNHEEDED <= now).map(|(gateway, ..)| gateway.clone()).collect()
    }

    /// The next time when it is found out of one.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        self.0.iter().map(|(_, _, since)| *since + UNHEEDED).filter(|at| *at > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_gone_when_it_has_been_behind_with_one_word_for_long_and_not_for_each_change_it_is_to_see() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let (gone, well) = (GatewayId::new("canary", "gw"), GatewayId::new("b", "gw"));
        let mut behind = Behind::default();
        behind.note(vec![(gone.clone(), 1), (well.clone(), 1)], start);
        assert_eq!((behind.gone(start), behind.due(start)), (vec![], Some(start + UNHEEDED)));
        // The well one has told of the second generation meanwhile, and is to see the third.
        let later = start + second * 29;
        behind.note(vec![(gone.clone(), 1), (well.clone(), 2)], later);
        let end = start + UNHEEDED;
        behind.note(vec![(gone.clone(), 1), (well, 2)], end);
        assert_eq!(behind.gone(end), [gone]);
        assert_eq!(behind.due(end), Some(later + UNHEEDED), "a time that is over is not waited for");
        behind.note(Vec::new(), end);
        assert_eq!((behind.gone(end + UNHEEDED), behind.due(end)), (vec![], None));
    }
}
