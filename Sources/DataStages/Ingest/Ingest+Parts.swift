package import Catalog
import Files
package import PipelineCore

extension Ingest {
  /// A part whose source is gone must not be left out silently.
  package static var needsAllParts: Bool { true }

  /// Only the files that an item lies in are read, and keys identify their contents; but the
  /// prompts of a sample depend on all files.
  package func partInputs() throws -> [StageInput] {
    settings.limit == nil ? try listInputs() : try inputs()
  }

  /// Returns the names that keys contain besides the content: none, unless another source may have the same.
  ///
  /// Outputs depend on a source's folder and on its place among the others, too. Of a path the last
  /// two names count: what comes before differs between machines.
  static func partNames(of sources: [SourceFile]) -> [String] {
    // Parts do not read all sources, so equal sizes must do.
    let sizes = sources.map {
      PathKind(of: $0.path) == .folder ? -1 : Folders.byteCount(of: $0.path)
    }
    let counts = Dictionary(sizes.map { ($0, 1) }, uniquingKeysWith: +)
    var numbers: [String: Int] = [:]
    return zip(sources, sizes).map { source, size in
      guard counts[size, default: 0] > 1 else { return "" }
      let name = source.path.split(separator: "/").suffix(2).joined(separator: "/")
      numbers[name, default: 0] += 1
      return " \(name) \(numbers[name, default: 0])"
    }
  }
}

extension Ingest: Division {
  package func position(of item: Item) -> Int? { item.position }

  package func key(of item: Item) throws -> String {
    "\(try identity(of: item.source)) \(item.block)\(item.partName)"
  }

  package func write(_ contents: RowGroupContents, of item: Item, to writer: inout OutputWriter) {
    writer.add(contents.ordinal)
    writer.add(contents.rowCount)
    writer.add(contents.outcomeCount)
    writer.add(contents.pairs) { $0.add($1) }
    writer.add(contents.prompts) { writer, prompt in
      writer.add(prompt.row)
      writer.add(prompt.text)
      writer.add(prompt.split)
    }
    writer.add(contents.rejections) { writer, rejection in
      writer.add(rejection.row)
      writer.add(rejection.part)
      writer.add(rejection.column)
      writer.add(rejection.code)
      writer.add(rejection.reason)
    }
  }

  package func output(of item: Item, from reader: inout OutputReader) throws -> RowGroupContents {
    let contents = try RowGroupContents(&reader)
    // A row may become several pairs, each with its own number.
    let positions =
      contents.pairs.map { [$0.row, $0.part] } + contents.prompts.map { [$0.row, 0] }
      + contents.rejections.map { [$0.row, $0.part] }
    guard contents.ordinal == item.block, contents.rowCount == item.rowCount,
      positions.count == contents.outcomeCount ?? contents.rowCount,
      Set(positions).count == positions.count,
      positions.joined().allSatisfy({ (0...Int(Int32.max)).contains($0) })
    else { throw BadOutput("it is not the result of \(item.rowCount) rows") }
    return contents
  }
}

extension OutputWriter {
  fileprivate mutating func add(_ pair: RowGroupContents.Pair) {
    add(pair.row)
    add(pair.part)
    add(pair.prompt)
    add(pair.image0)
    add(pair.image1)
    add(pair.label0)
    add(pair.label1)
    add(pair.weight)
    add(pair.split)
    let origin = pair.provenance
    add(origin.bestImageUID)
    add(origin.rankingID)
    add(origin.userID)
    add(origin.model0)
    add(origin.model1)
    add(origin.createdAt)
    add(origin.image0URL)
    add(origin.image1URL)
  }

  private mutating func add(_ image: RowGroupContents.Image) {
    add(image.uid)
    add(image.content) { writer, content in
      writer.add(content.sha256)
      writer.add(content.byteCount)
      writer.add(content.width)
      writer.add(content.height)
      writer.add(content.column)
      writer.add(content.place) { writer, place in
        writer.add(place.rowGroup)
        writer.add(place.row)
      }
      writer.add(content.copy)
    }
  }
}

extension RowGroupContents {
  /// Reads the output of a part.
  init(_ reader: inout OutputReader) throws(BadOutput) {
    self.init(ordinal: try reader.int(), rowCount: try reader.int())
    outcomeCount = try reader.int(orNone: ())
    pairs = try reader.list { reader throws(BadOutput) in try Pair(&reader) }
    prompts = try reader.list { reader throws(BadOutput) in
      ListedPrompt(row: try reader.int(), text: try reader.text(), split: try reader.text())
    }
    rejections = try reader.list { reader throws(BadOutput) in
      Rejection(
        row: try reader.int(), part: try reader.int(), column: try reader.text(orNone: ()),
        code: try reader.text(),
        reason: try reader.text())
    }
  }
}

extension OutputReader {
  fileprivate mutating func text(orNone: Void) throws(BadOutput) -> String? {
    try optional { reader throws(BadOutput) in try reader.text() }
  }

  fileprivate mutating func int(orNone: Void) throws(BadOutput) -> Int? {
    try optional { reader throws(BadOutput) in try reader.int() }
  }
}

extension RowGroupContents.Pair {
  fileprivate init(_ reader: inout OutputReader) throws(BadOutput) {
    let (row, part) = (try reader.int(), try reader.int())
    self.init(
      row: row, prompt: try reader.text(),
      image0: try RowGroupContents.Image(&reader), image1: try RowGroupContents.Image(&reader),
      label0: try reader.double(), label1: try reader.double(), weight: try reader.double(),
      split: try reader.text())
    self.part = part
    provenance.bestImageUID = try reader.text(orNone: ())
    provenance.rankingID = try reader.int(orNone: ())
    provenance.userID = try reader.int(orNone: ())
    provenance.model0 = try reader.text(orNone: ())
    provenance.model1 = try reader.text(orNone: ())
    provenance.createdAt = try reader.text(orNone: ())
    provenance.image0URL = try reader.text(orNone: ())
    provenance.image1URL = try reader.text(orNone: ())
  }
}

extension RowGroupContents.Image {
  fileprivate init(_ reader: inout OutputReader) throws(BadOutput) {
    self.init(
      uid: try reader.text(),
      content: try reader.optional { reader throws(BadOutput) in
        Content(
          sha256: try reader.text(), byteCount: try reader.int(), width: try reader.int(),
          height: try reader.int(), column: try reader.text(),
          place: try reader.optional { reader throws(BadOutput) in
            (rowGroup: try reader.int(), row: try reader.int())
          },
          copy: try reader.optional { reader throws(BadOutput) in try reader.bytes() })
      })
  }
}
