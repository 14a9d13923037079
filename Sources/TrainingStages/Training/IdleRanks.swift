import PipelineCore
import Ranks

extension StageContext {
  /// Says if there are more ranks than can work at a time.
  ///
  /// - Parameters:
  ///   - activity: what they do, such as `sample`
  ///   - batch: what is divided among them, and the setting that says how much it is
  ///   - share: the least that one of them does at a time, likewise
  func noteIdleRanks(
    _ activity: String, batch: Int, _ batchSetting: String, _ share: Int, _ shareSetting: String
  ) {
    let groups = (batch + max(1, share) - 1) / max(1, share)
    guard ranks.isFirst, ranks.count > groups else { return }
    progress.say(
      "note: \(ranks.count) ranks, but only \(groups) \(activity) at a time: \(batchSetting) is \(batch), "
        + "\(shareSetting) \(share)")
  }
}
