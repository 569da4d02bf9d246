//! The queue is bounded, errors are told, a line says what it should and nothing else.
