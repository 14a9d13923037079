public import Files

/// The measurements of a run, one JSON object per line (`metrics.jsonl`), each with its `step`.
///
/// A line that a crash left unfinished at the end is cut off when the log is opened again. A resumed
/// run also cuts what lies behind the step it resumes at, so that its log ends like that of
/// an uninterrupted run.
public final class MetricsLog {
  private let file: AppendFile

  /// Opens the log at `path`, or begins it.
  ///
  /// - Parameter lastStep: lines behind the last one of this step or an earlier one are cut off;
  ///   nil keeps all.
  public init(path: String, resumingAfter lastStep: Int? = nil) throws {
    file = try AppendFile(path: path)
    var end = 0
    for line in try Self.read(RegularFile(path: path)) {
      if let lastStep, line.step > lastStep { break }
      end = line.end
    }
    if end < file.size { try file.truncate(to: end) }
  }

  /// Appends one line: the step first, then `values` in their order.
  public func append(step: Int, _ values: JSON.Object) throws(FileError) {
    var line = JSON.Object()
    line["step"] = .integer(step)
    for (key, value) in values where key != "step" { line[key] = value }
    try file.append(Array((JSON.object(line).text() + "\n").utf8))
  }

  /// Makes everything so far durable.
  public func sync() throws(FileError) { try file.sync() }

  /// The lines of the log at `path`, without an unfinished last one.
  public static func lines(of path: String) throws -> [JSON.Object] {
    try read(RegularFile(path: path)).map(\.values)
  }

  private struct Line {
    let values: JSON.Object
    let step: Int
    /// The offset behind its newline.
    let end: Int
  }

  /// The whole lines of a log.
  ///
  /// Only the last may be damaged: a crash damages no others.
  private static func read(_ file: RegularFile) throws -> [Line] {
    let bytes = try file.readAll()
    var lines: [Line] = []
    var start = 0
    while let newline = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) {
      let source = "\(file.path), line \(lines.count + 1)"
      do {
        let reader = JSONReader(
          try JSON(parsing: Array(bytes[start..<newline]), source: source), path: source)
        let step = try reader.int("step")
        lines.append(Line(values: try reader.object(), step: step, end: newline + 1))
      } catch {
        guard newline + 1 == bytes.count else { throw error }
      }
      start = newline + 1
    }
    return lines
  }
}
