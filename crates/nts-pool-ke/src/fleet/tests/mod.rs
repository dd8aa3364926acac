//! Days of health in virtual time.

mod ejection;
mod evidence;
mod laws;
mod node;
mod outages;
mod reload;
