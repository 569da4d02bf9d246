//! Answers kept and given again: key, entry, memory in front of Redis.
