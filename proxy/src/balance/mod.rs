//! Which provider takes the next attempt: filters, tiers, pick. Pure.
