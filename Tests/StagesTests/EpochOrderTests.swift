import Stages
import Testing
import TrainingStages

@Suite struct EpochOrderTests {
  private static let count = 7
  private static let batch = 3

  @Test("every epoch shows every item once, in an order of its own")
  func epochs() {
    var order = EpochOrder(count: Self.count, seed: 5)
    let seen = (0..<Self.count).flatMap { order.items(step: $0, batch: Self.batch) }
    let byEpoch = (0..<Self.batch).map { epoch in
      seen.filter { $0.epoch == epoch }.map(\.item)
    }
    for items in byEpoch { #expect(items.sorted() == Array(0..<Self.count)) }
    #expect(Set(byEpoch).count == byEpoch.count)
  }

  @Test(
    "a resumed run sees what one without interruption sees, also of batches longer than an epoch")
  func resumed() {
    for batch in [Self.batch, 2 * Self.count + 1] {
      var whole = EpochOrder(count: Self.count, seed: 5)
      for step in 0..<9 {
        let items = whole.items(step: step, batch: batch)
        var resumed = EpochOrder(count: Self.count, seed: 5)
        let again = resumed.items(step: step, batch: batch)
        #expect(items.map(\.item) == again.map(\.item))
        #expect(items.map(\.epoch) == again.map(\.epoch))
      }
    }
  }
}
