import Files
import PipelineCore
import Shards
import Telemetry

/// Inspects results of stages: shards, metrics, and folders of other files.
enum ResultInspector {
  /// Nil if the folder has no shards.
  static func shards(_ path: String) throws -> InspectionReport? {
    let file = "\(path)/\(ShardIndex.fileName)"
    guard PathKind(of: file) == .file, ShardIndex.isIndex(file) else { return nil }
    let index = try ShardIndex(contentsOf: file)
    let layout = index.layout
    let latent = layout.latentShape
    let splits = index.splits.map { split in
      let shards = index.shards.filter { $0.split == split }
      return (
        name: split, shards: shards.count, bytes: shards.reduce(0) { $0 + $1.byteCount },
        pairs: shards.reduce(0) { $0 + $1.pairCount },
        prompts: shards.reduce(0) { $0 + $1.promptCount },
        images: shards.reduce(0) { $0 + $1.imageCount }
      )
    }
    let lines =
      [
        "\(path.printable): training shards",
        "  latents \(latent), prompt embeddings \(layout.embeddingShape)",
      ]
      + splits.map {
        "  split \($0.name.printable): \(Spelled.count($0.pairs)) pairs, "
          + "\(Spelled.count($0.prompts)) prompts, \(Spelled.count($0.images)) images in "
          + "\($0.shards) \($0.shards == 1 ? "file" : "files") (\(ByteCount.text($0.bytes)))"
      }
    return InspectionReport(
      json: [
        "kind": "shards", "latent_shape": .array(latent.map { .integer($0) }),
        "splits": .array(
          splits.map {
            [
              "split": .string($0.name), "files": .integer($0.shards), "bytes": .integer($0.bytes),
              "pairs": .integer($0.pairs), "prompts": .integer($0.prompts),
              "images": .integer($0.images),
            ]
          }),
      ], text: lines.joined(separator: "\n"))
  }

  /// Summarizes training metrics: each number at the first and the last step; nil for another file.
  static func metrics(_ path: String) throws -> InspectionReport? {
    guard path.split(separator: "/").last == "metrics.jsonl",
      let lines = try? MetricsLog.lines(of: path), let last = lines.last
    else { return nil }
    var seen: Set<String> = ["step"]
    let names = lines.flatMap { line in
      line.compactMap { $1.double != nil && seen.insert($0).inserted ? $0 : nil }
    }
    let rows = names.map { name in
      let values = lines.compactMap { $0[name]?.double }
      return (name: name, first: values.first ?? 0, last: values.last ?? 0, count: values.count)
    }
    let width = rows.map(\.name.count).max() ?? 0
    func number(_ value: Double) -> String {
      Int(exactly: value).map(Spelled.count) ?? "\((value * 1e4).rounded() / 1e4)"
    }
    let text =
      [
        "\(path.printable): training metrics, \(Spelled.count(lines.count, of: "lines")) up to step "
          + "\(last["step"]?.int ?? 0)"
      ]
      + rows.map { row in
        let padding = String(repeating: " ", count: width - row.name.count)
        return "  \(row.name.printable)\(padding)  \(number(row.first)) to \(number(row.last))"
      }
    return InspectionReport(
      json: [
        "kind": "metrics", "lines": .integer(lines.count),
        "metrics": .array(
          rows.map {
            [
              "name": .string($0.name), "first": .number($0.first), "last": .number($0.last),
              "values": .integer($0.count),
            ]
          }),
      ], text: text.joined(separator: "\n"))
  }

  private static let shownLimit = 40

  /// Lists the names and sizes in a folder.
  ///
  /// - Parameter notes: lines to append
  static func folder(_ path: String, of kind: String, notes: [String] = []) throws
    -> InspectionReport
  {
    let entries = try Folders.names(in: path).map { name in
      let isFolder = PathKind(of: "\(path)/\(name)") == .folder
      return (
        name: isFolder ? "\(name)/" : name, bytes: try Folders.totalByteCount(of: "\(path)/\(name)")
      )
    }
    let width = entries.prefix(shownLimit).map(\.name.count).max() ?? 0
    let total = entries.reduce(0) { $0 + $1.bytes }
    var lines = ["\(path.printable): \(kind), \(ByteCount.text(total))"]
    lines += entries.prefix(shownLimit).map { entry in
      let padding = String(repeating: " ", count: width - entry.name.count)
      return "  \(entry.name.printable)\(padding)  \(ByteCount.text(entry.bytes))"
    }
    if entries.count > shownLimit { lines.append("  and \(entries.count - shownLimit) more") }
    return InspectionReport(
      json: [
        "kind": "folder", "bytes": .integer(total),
        "entries": .array(
          entries.map { ["name": .string($0.name), "bytes": .integer($0.bytes)] }),
      ], text: (lines + notes).joined(separator: "\n"))
  }
}
