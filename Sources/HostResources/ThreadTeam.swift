import COpenBLAS
import Dispatch
import Foundation
import Synchronization

/// Threads that share the items of one parallel loop after another.
///
/// Kernels of small models take less time than it takes to wake a sleeping thread, so a thread that
/// has run out of work looks out for the next loop for a while before it sleeps. The caller takes
/// items from the front and its helpers from the back: loops over one batch after another then find
/// most of their input in the cache of the core that made it.
final class ThreadTeam: Sendable {
  static let shared = ThreadTeam()

  private struct Work: @unchecked Sendable {
    var body: (Int) -> Void = { _ in }
    var count = 0
  }

  /// The body that members run: written while the gate is shut, read by those who came in.
  private let work = UnsafeSendableBox(Work())
  /// Whether a thread is running a loop with this team.
  private let isTaken = Atomic(false)
  /// Grows with each loop.
  private let loop = Atomic(0)
  /// 0 while no loop runs, otherwise 1 more than the threads that came to help.
  private let gate = Atomic(0)
  /// Items taken from the front, plus 2^32 times those taken from the back.
  private let taken = Atomic(0)
  private let helperCount = Atomic(0)
  /// Helpers asleep that no signal is under way to.
  private let sleeperCount = Atomic(0)
  private let alarm = DispatchSemaphore(value: 0)

  /// The number of times a helper polls for a new loop before it sleeps: about a millisecond,
  /// longer than the sequences of small operations that run on a single thread.
  private static let patience = 2_000

  /// Runs `body` for every index of `0..<count` on up to `threads` threads, the caller's included;
  /// returns false, having done nothing, if the team is at work already.
  func run(_ count: Int, threads: Int, _ body: @escaping (Int) -> Void) -> Bool {
    guard isTaken.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
    else { return false }
    while helperCount.load(ordering: .relaxed) < threads - 1 {
      let number = helperCount.wrappingAdd(1, ordering: .relaxed).oldValue
      Thread.detachNewThread { self.help(as: number) }
    }
    work.value = Work(body: body, count: count)
    taken.store(0, ordering: .relaxed)
    gate.store(1, ordering: .releasing)
    loop.wrappingAdd(1, ordering: .sequentiallyConsistent)
    for _ in 0..<sleeperCount.exchange(0, ordering: .sequentiallyConsistent) { alarm.signal() }

    takeItems(fromBack: false)
    // Shuts the gate when the last helper has left.
    var tries = 0
    while !gate.weakCompareExchange(expected: 1, desired: 0, ordering: .acquiring).exchanged {
      tries = Self.wait(tries)
    }
    work.value = Work()
    isTaken.store(false, ordering: .releasing)
    return true
  }

  /// Waits a moment: the first times without the system, which takes longer than many loops.
  private static func wait(_ tries: Int) -> Int {
    if tries < 200 { spo_pause() } else { sched_yield() }
    return tries + 1
  }

  private func takeItems(fromBack: Bool) {
    let (body, count) = (work.value.body, work.value.count)
    while true {
      let before = taken.wrappingAdd(fromBack ? 1 << 32 : 1, ordering: .relaxed).oldValue
      let (front, back) = (before & 0xFFFF_FFFF, before >> 32)
      guard front + back < count else { return }
      body(fromBack ? count - 1 - back : front)
    }
  }

  private func help(as number: Int) {
    var last = 0
    while true {
      last = waitForLoop(after: last)
      // Fewer threads may be wanted than there once were.
      guard number < Threads.count - 1, enter() else { continue }
      takeItems(fromBack: true)
      gate.wrappingSubtract(1, ordering: .releasing)
    }
  }

  private func waitForLoop(after last: Int) -> Int {
    var tries = 0
    while true {
      for _ in 0..<Self.patience {
        let current = loop.load(ordering: .acquiring)
        if current != last { return current }
        tries = Self.wait(tries)
      }
      sleeperCount.wrappingAdd(1, ordering: .sequentiallyConsistent)
      if loop.load(ordering: .sequentiallyConsistent) != last, retractSleep() { continue }
      alarm.wait()
    }
  }

  /// Whether this thread no longer counts as asleep; if not, a signal is under way to it.
  private func retractSleep() -> Bool {
    var count = sleeperCount.load(ordering: .relaxed)
    while count > 0 {
      let (exchanged, original) = sleeperCount.compareExchange(
        expected: count, desired: count - 1, ordering: .sequentiallyConsistent)
      if exchanged { return true }
      count = original
    }
    return false
  }

  private func enter() -> Bool {
    var members = gate.load(ordering: .relaxed)
    while members > 0 {
      let (exchanged, original) = gate.compareExchange(
        expected: members, desired: members + 1, ordering: .acquiringAndReleasing)
      if exchanged { return true }
      members = original
    }
    return false
  }
}

/// A variable whose users keep out of each other's way by other means.
private final class UnsafeSendableBox<Value>: @unchecked Sendable {
  var value: Value

  init(_ value: Value) { self.value = value }
}
