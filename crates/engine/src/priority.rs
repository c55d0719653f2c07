//! Real-time priority for threads that send: on a busy machine a thread that wakes at its time otherwise waits for a time slice
//! of whoever computes there, milliseconds each, and that would be lateness of our own. Knows nothing of requests.

use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// Gives the calling thread the lowest real-time priority (SCHED_RR, sched(7)), if this process may: root, CAP_SYS_NICE, or a
/// limit of real-time priority (`ulimit -r`). Tells whether it did.
pub(crate) fn raise() -> bool {
    let Ok(lowest) = ThreadPriorityValue::try_from(1_u8) else {
        return false;
    };
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin);
    set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Crossplatform(lowest), policy).is_ok()
}

/// Whether threads of this process may have real-time priority, tried on a thread of its own.
pub fn may_be_real_time() -> bool {
    std::thread::spawn(raise).join().unwrap_or(false)
}
