import PipelineCore
import Ranks

extension StageContext {
  /// Reports if there are more ranks than can work simultaneously.
  ///
  /// - Parameters:
  ///   - activity: their activity, such as `sample`
  ///   - batch: the amount divided among them, and its setting
  ///   - share: the smallest share of one rank, and its setting
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
