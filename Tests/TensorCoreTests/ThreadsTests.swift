import Foundation
import Synchronization
import TensorCore
import Testing

@Suite("Threads", .serialized)
struct ThreadsTests {
  /// How often each index of a loop was visited.
  private final class Visits: Sendable {
    private let counts: Mutex<[Int]>

    init(_ count: Int) { counts = Mutex([Int](repeating: 0, count: count)) }

    func add(_ index: Int) { counts.withLock { $0[index] += 1 } }

    var areOnce: Bool { counts.withLock { $0.filter { $0 == 1 }.count == $0.count } }
  }

  private func withThreads(_ count: Int, _ body: () -> Void) {
    let before = Threads.count
    Threads.count = count
    defer { Threads.count = before }
    body()
  }

  @Test("every index of a loop is visited once, in loops right after each other and after a rest")
  func visits() {
    withThreads(3) {
      for round in 0..<2_000 {
        let visits = Visits(round % 7)
        parallelItems(round % 7) { visits.add($0) }
        #expect(visits.areOnce)
        if round % 400 == 0 { Thread.sleep(forTimeInterval: 0.01) }
      }
    }
  }

  @Test("fewer threads after more, and more after fewer")
  func changes() {
    for threads in [1, 4, 2, 5, 1, 3] {
      withThreads(threads) {
        for _ in 0..<100 {
          let visits = Visits(50)
          parallelItems(50) { visits.add($0) }
          #expect(visits.areOnce)
        }
      }
    }
  }

  @Test("loops inside loops and loops of several threads at once")
  func nesting() {
    withThreads(2) {
      let visits = Visits(4 * 100 * 6)
      let group = DispatchGroup()
      for caller in 0..<4 {
        DispatchQueue.global().async(group: group) {
          for round in 0..<100 {
            parallelItems(2) { outer in
              parallelItems(3) { visits.add(((caller * 100 + round) * 2 + outer) * 3 + $0) }
            }
          }
        }
      }
      group.wait()
      #expect(visits.areOnce)
    }
  }

  @Test("ranges cover all items in order and hold at least the grain, but for a single one")
  func ranges() {
    withThreads(4) {
      for (count, grain) in [(1, 1), (10, 3), (10, 100), (97, 8), (1_000, 1)] {
        let found = Mutex([Range<Int>]())
        parallelRanges(count, grain: grain) { range in found.withLock { $0.append(range) } }
        let ranges = found.withLock { $0.sorted { $0.lowerBound < $1.lowerBound } }
        #expect(ranges.flatMap { Array($0) } == Array(0..<count))
        #expect(ranges.count == 1 || ranges.filter { $0.count < grain }.isEmpty)
        #expect(ranges.count <= 4)
      }
    }
  }
}
