import Backends
public import Files
import PipelineCore
import StageSupport

/// About what one part of a stage takes, and how many parts are worth it.
public struct PartForecast: Sendable {
  public let stage: String
  /// Bytes that a part writes.
  public let byteCount: Int
  public let memory: Int
  /// Nil where no rates are given.
  public let seconds: Double?
  /// To take what all parts have made, on one machine.
  public let mergeSeconds: Double
  /// More parts would have no item, or less to do than the merge after them; nil: not known.
  public let worthwhileCount: Int?

  public var json: JSON {
    [
      "stage": .string(stage), "bytes": .integer(byteCount), "peak_memory": .integer(memory),
      "seconds": seconds.map { .number($0) } ?? .null, "merge_seconds": .number(mergeSeconds),
      "worthwhile": worthwhileCount.map { .integer($0) } ?? .null,
    ]
  }

  /// To start, to look up what there is to do and to load a model: measured.
  private static let secondsToStart = 5.0
  /// What a merge writes in a second: measured.
  private static let mergedBytesPerSecond = 6e7
  /// What it takes an item to be found: measured.
  private static let secondsPerItem = 1e-4

  /// Nil for a stage that runs whole.
  init?(
    _ stage: any Estimating, _ whole: Doctor.Forecast, _ scale: PipelineScale, count: Int,
    on device: PlannedDevice?, _ rates: OperationRates?
  ) throws {
    let items = try stage.itemCount(scale)
    guard stage is any DivisibleStage, items > 0 else { return nil }
    let own = try stage.planOfParts(scale, on: device.planningBackend)
    let written = own?.byteCount ?? whole.diskByteCount
    let work = rates.flatMap { own == nil ? whole.seconds : own?.plan.seconds(at: $0) }
    // Of the part with the most items.
    let share = Double((items - 1) / count + 1) / Double(items)
    let merge =
      Double(written) / Self.mergedBytesPerSecond + Double(items) * Self.secondsPerItem
    self.stage = whole.stage
    byteCount = Int(Double(written) * share)
    memory = (own?.plan.memory ?? whole.memory).byteCount(in: .machine)
    seconds = work.map { Self.secondsToStart + $0 * share }
    mergeSeconds = merge
    worthwhileCount = work.map {
      max(1, Int(min(Double(items), $0 / max(merge, Self.secondsToStart))))
    }
  }
}
