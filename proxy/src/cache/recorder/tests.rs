//! Tests of recorder.
