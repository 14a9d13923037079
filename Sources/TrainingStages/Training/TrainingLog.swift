package import Files
import Imaging
import PipelineCore
import Telemetry

/// What a training run measures: `metrics.jsonl`, and event files for TensorBoard beside it.
package final class TrainingLog {
  private let folder: String
  /// Nil where nothing is written.
  private let metrics: MetricsLog?
  private var events: EventFile?
  /// What the event file gets when it is durable: events cannot be taken back.
  private var pending: [(step: Int, values: JSON.Object)] = []
  private var pendingImages: [(step: Int, name: String, image: RGBImage)] = []

  init(folder: String, resumingAfter step: Int) throws {
    self.folder = folder
    metrics = try MetricsLog(path: "\(folder)/metrics.jsonl", resumingAfter: step)
  }

  /// The log of a rank that writes nothing.
  init() {
    folder = ""
    metrics = nil
  }

  /// What a finished run has measured; nothing where that was lost.
  package static func lines(in folder: String) throws -> [JSON.Object] {
    let path = "\(folder)/metrics.jsonl"
    return Folders.exists(path) ? try MetricsLog.lines(of: path) : []
  }

  package func append(step: Int, _ values: JSON.Object) throws {
    guard let metrics else { return }
    try metrics.append(step: step, values)
    pending.append((step, values))
  }

  /// Adds a picture for TensorBoard.
  func append(step: Int, _ name: String, _ image: RGBImage) {
    if metrics != nil { pendingImages.append((step, name, image)) }
  }

  /// Makes everything so far durable.
  func sync() throws {
    guard let metrics else { return }
    try metrics.sync()
    let file = try events ?? EventFile(folder: folder)
    events = file
    for (step, name, image) in pendingImages {
      try file.appendImage(
        name, encoded: try image.encodedAsPNG(), width: image.width, height: image.height,
        step: step)
    }
    pendingImages = []
    for (step, values) in pending {
      for (name, value) in values { try append(value, name, step: step, to: file) }
    }
    try file.sync()
    pending = []
  }

  /// Numbers, and those in an object, which TensorBoard shows together; it has no use for the rest.
  private func append(_ value: JSON, _ name: String, step: Int, to file: EventFile) throws {
    if let number = value.double { try file.append(name, Float(number), step: step) }
    for (key, member) in value.object ?? JSON.Object() {
      try append(member, "\(name)/\(key)", step: step, to: file)
    }
  }
}
