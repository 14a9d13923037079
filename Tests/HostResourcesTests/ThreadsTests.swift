import Foundation
import HostResources
import Testing

@Suite("Threads")
struct ThreadsTests {
  /// A number for each index of a loop, 0 at first.
  ///
  /// Without a lock, so that the thread sanitizer sees whether the loop alone keeps its calls apart.
  private final class Slots: @unchecked Sendable {
    let values: UnsafeMutableBufferPointer<Int>

    init(_ count: Int) {
      values = .allocate(capacity: count)
      values.initialize(repeating: 0)
    }

    deinit { values.deallocate() }

    /// Notes a visit of an index.
    func add(_ index: Int) { values[index] += 1 }

    var areOnce: Bool { values.allSatisfy { $0 == 1 } }
  }

  @Test("another number holds for what is called, on whatever thread, and nowhere else")
  func scope() {
    let before = Threads.count
    Threads.with(count: 3) {
      #expect(Threads.count == 3)
      let counts = Slots(64)
      parallelItems(64) { counts.values[$0] = Threads.count }
      #expect(counts.values.allSatisfy { $0 == 3 })
      Threads.with(count: 0) { #expect(Threads.count == 1) }
    }
    #expect(Threads.count == before)
  }

  @Test("every index of a loop is visited once, in loops right after each other and after a rest")
  func visits() {
    Threads.with(count: 3) {
      for round in 0..<2_000 {
        let visits = Slots(round % 7)
        parallelItems(round % 7) { visits.add($0) }
        #expect(visits.areOnce)
        if round % 400 == 0 { Thread.sleep(forTimeInterval: 0.01) }
      }
    }
  }

  @Test("fewer threads after more, and more after fewer")
  func changes() {
    for threads in [1, 4, 2, 5, 1, 3] {
      Threads.with(count: threads) {
        for _ in 0..<100 {
          let visits = Slots(50)
          parallelItems(50) { visits.add($0) }
          #expect(visits.areOnce)
        }
      }
    }
  }

  @Test("loops inside loops and loops of several threads at once")
  func nesting() {
    Threads.with(count: 2) {
      let visits = Slots(4 * 100 * 6)
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
    Threads.with(count: 4) {
      for (count, grain) in [(1, 1), (10, 3), (10, 100), (97, 8), (1_000, 1)] {
        let ends = Slots(count)
        parallelRanges(count, grain: grain) { ends.values[$0.lowerBound] = $0.upperBound }
        let ranges = ends.values.enumerated().filter { $1 > 0 }.map { $0..<$1 }
        #expect(ranges.flatMap { Array($0) } == Array(0..<count))
        #expect(ranges.count == 1 || ranges.filter { $0.count < grain }.isEmpty)
        #expect(ranges.count <= 4)
      }
    }
  }
}
