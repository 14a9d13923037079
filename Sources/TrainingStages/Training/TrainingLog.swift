package import Files
package import Imaging
import PipelineCore
import Telemetry

/// The measurements of a training run: `metrics.jsonl`, and event files for TensorBoard.
///
/// Both are written line by line, so that they can be watched.
package final class TrainingLog {
  private let folder: String
  /// The step of the checkpoint; 0 if there is none.
  private let lastStep: Int
  /// Nil if nothing is written.
  private let metrics: MetricsLog?
  private var openEvents: EventFile?

  package init(folder: String, resumingAfter step: Int) throws {
    self.folder = folder
    lastStep = step
    metrics = try MetricsLog(path: "\(folder)/metrics.jsonl", resumingAfter: step)
  }

  /// Creates the log of a rank that writes nothing.
  init() {
    folder = ""
    lastStep = 0
    metrics = nil
  }

  /// Returns the measurements of a finished run; empty if they were lost.
  package static func lines(in folder: String) throws -> [JSON.Object] {
    let path = "\(folder)/metrics.jsonl"
    return Folders.exists(path) ? try MetricsLog.lines(of: path) : []
  }

  package func append(step: Int, _ values: JSON.Object) throws {
    guard let metrics else { return }
    try metrics.append(step: step, values)
    let events = try events()
    for (name, value) in values { try append(value, name, step: step, to: events) }
  }

  /// Appends numbers, and those in an object, which TensorBoard shows together; other values are
  /// ignored.
  private func append(_ value: JSON, _ name: String, step: Int, to events: EventFile) throws {
    if let number = value.double { try events.append(name, Float(number), step: step) }
    for (key, member) in value.object ?? JSON.Object() {
      try append(member, "\(name)/\(key)", step: step, to: events)
    }
  }

  /// Appends an image for TensorBoard.
  package func append(step: Int, _ name: String, _ image: RGBImage) throws {
    guard metrics != nil else { return }
    try events().appendImage(
      name, encoded: try image.encodedAsPNG(), width: image.width, height: image.height,
      step: step)
  }

  /// Syncs everything so far to disk.
  package func sync() throws {
    try metrics?.sync()
    try openEvents?.sync()
  }

  /// Returns the event file, opened for its first event.
  private func events() throws -> EventFile {
    if let openEvents { return openEvents }
    // Without a checkpoint everything is repeated, including the entries of step 0.
    let file = try EventFile(folder: folder, firstStep: lastStep == 0 ? 0 : lastStep + 1)
    openEvents = file
    return file
  }
}
