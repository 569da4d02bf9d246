//! The page that families of metrics are written on, by prometheus-client.

use std::collections::BTreeMap;
use std::fmt::Error;

use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;

use super::histogram::Total;
use super::names::{Metric, MetricKind};

/// Label values, in the order of the metric's labels.
pub(super) type Values<'a> = Vec<&'a str>;
/// A family's samples by label values, sorted: equal state, equal text.
pub(super) type Samples<'a, T> = BTreeMap<Values<'a>, T>;

/// Counters are told without an example of a call.
const NO_EXEMPLAR: Option<&Exemplar<NoLabelSet, f64>> = None;

/// A page that is being written.
pub(super) struct Page<'a> {
    /// The writer.
    pub(super) encoder: DescriptorEncoder<'a>,
}

impl Page<'_> {
    fn family(
        &mut self,
        metric: &Metric,
        write: impl FnOnce(&mut MetricEncoder<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let kind = match metric.kind {
            MetricKind::Counter => MetricType::Counter,
            MetricKind::Gauge => MetricType::Gauge,
            MetricKind::Histogram => MetricType::Histogram,
            MetricKind::Info => MetricType::Info,
        };
        // The crate adds a full stop to nothing here: help is written as it is.
        let mut encoder = self.encoder.encode_descriptor(metric.name, metric.help, None, kind)?;
        write(&mut encoder)
    }

    /// A family of samples with labels, each written by `write`; nothing where there are none.
    fn samples<T>(
        &mut self,
        metric: &Metric,
        samples: &Samples<'_, T>,
        write: impl Fn(&mut MetricEncoder<'_>, &T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if samples.is_empty() {
            return Ok(());
        }
        self.family(metric, |encoder| {
            for (values, sample) in samples {
                let labels = labels(metric, values);
                write(&mut encoder.encode_family(&labels)?, sample)?;
            }
            Ok(())
        })
    }

    /// A family of counters; nothing where there are no samples.
    pub(super) fn counters<T: EncodeCounterValue>(
        &mut self,
        metric: &Metric,
        samples: &Samples<'_, T>,
    ) -> Result<(), Error> {
        self.samples(metric, samples, |encoder, value| encoder.encode_counter(value, NO_EXEMPLAR))
    }

    /// A family of gauges; nothing where there are no samples.
    pub(super) fn gauges<T: EncodeGaugeValue>(
        &mut self,
        metric: &Metric,
        samples: &Samples<'_, T>,
    ) -> Result<(), Error> {
        self.samples(metric, samples, |encoder, value| encoder.encode_gauge(value))
    }

    /// A counter without labels.
    pub(super) fn counter<T: EncodeCounterValue + Copy>(&mut self, metric: &Metric, value: T) -> Result<(), Error> {
        self.family(metric, |encoder| encoder.encode_counter(&value, NO_EXEMPLAR))
    }

    /// A gauge without labels.
    pub(super) fn gauge<T: EncodeGaugeValue + Copy>(&mut self, metric: &Metric, value: T) -> Result<(), Error> {
        self.family(metric, |encoder| encoder.encode_gauge(&value))
    }

    /// A text, as the label of a family that is always 1.
    pub(super) fn info(&mut self, metric: &Metric, value: &str) -> Result<(), Error> {
        self.family(metric, |encoder| encoder.encode_info(&labels(metric, &[value])))
    }

    /// A family of histograms; nothing where there are no samples.
    pub(super) fn histogram(&mut self, metric: &Metric, samples: &Samples<'_, Total>) -> Result<(), Error> {
        self.samples(metric, samples, |encoder, total| {
            encoder.encode_histogram::<NoLabelSet>(total.sum(), total.count(), &total.buckets(), None)
        })
    }
}

fn labels<'a>(metric: &Metric, values: &[&'a str]) -> Vec<(&'static str, &'a str)> {
    metric.labels.iter().copied().zip(values.iter().copied()).collect()
}
