import Files
import Parquet

/// The rows of a parquet file.
///
/// An image column is binary, or a group `{bytes, path}` as the Hub's `Image` feature writes it.
final class ParquetRecords: RecordFile {
  let plan: ColumnPlan
  private let file: ParquetFile
  private let paths: ImagePaths
  /// The leaf of each field; for images, the leaf of their bytes.
  private let leaves: [RecordField: LeafColumn]
  /// The leaf of a file name next to an image's bytes.
  private let pathLeaves: [RecordField: LeafColumn]
  /// Cursors for `imageBytes`, by leaf name.
  private var imageCursors: [String: ColumnCursor] = [:]
  /// The same for lists.
  private var lists: ParquetLists?

  var path: String { file.path }
  var columnNames: [String] { file.columns.map(\.name) }
  var blockRowCounts: [Int] { file.rowGroups.map(\.rowCount) }

  init(path: String, options: ReadingOptions) throws {
    let file = try ParquetFile(path: path)
    let plan = ColumnPlan(
      columns: file.columns.map(\.name), options: options,
      // If there may be images, a list of prompts would be only part of the data.
      mayBePrompts: file.columns.allSatisfy {
        !$0.isRepeated && ($0.physicalType != .byteArray || $0.logicalType == .string)
      })
    var leaves: [RecordField: LeafColumn] = [:]
    var pathLeaves: [RecordField: LeafColumn] = [:]
    for field in plan.fields {
      let name = plan.name(of: field)
      leaves[field] = file.column(named: name)
      if field.kind == .image {
        leaves[field] = leaves[field] ?? file.column(named: "\(name).bytes")
        pathLeaves[field] = file.column(named: "\(name).path")
      } else if field.kind == .imageList || field.kind == .numberList {
        leaves[field] = ParquetLists.leaf(of: file, name)
      }
      if field.isProvenance, let leaf = leaves[field], Self.obstacle(leaf, field) != nil {
        leaves[field] = nil
      }
    }
    self.file = file
    self.plan = plan
    paths = ImagePaths(source: path, root: options.imageRoot)
    self.leaves = leaves
    self.pathLeaves = pathLeaves
  }

  func hasColumn(_ field: RecordField) -> Bool {
    leaves[field] != nil || pathLeaves[field] != nil
  }

  func columnProblems() -> [any Error] {
    var problems: [any Error] = []
    func add(_ leaf: LeafColumn) {
      do throws(ParquetError) { try file.requireReadable(leaf) } catch { problems.append(error) }
    }
    for field in plan.fields {
      let name = plan.name(of: field)
      if columnNames.count(where: { $0 == name }) > 1 {
        problems.append(
          SourceError.malformed(path: path, reason: "duplicate column name \(name)"))
      }
      if let leaf = leaves[field] {
        if let expected = Self.obstacle(leaf, field) {
          problems.append(
            ParquetError.typeMismatch(
              path: path, column: leaf.name, expected: expected, found: leaf.typeName))
        } else {
          add(leaf)
        }
      }
      if let leaf = pathLeaves[field] { add(leaf) }
    }
    return problems
  }

  /// Returns the requirement that a column fails; nil if it can be read.
  private static func obstacle(_ leaf: LeafColumn, _ field: RecordField) -> String? {
    let isList = field.kind == .imageList || field.kind == .numberList
    if leaf.isRepeated != isList { return isList ? "a list" : "one value per row, not a list" }
    switch field.kind {
    case .text:
      let isTime = field.isProvenance && leaf.isInteger
      return leaf.holdsTexts || isTime ? nil : "a text"
    case .number: return leaf.holdsNumbers || leaf.isText ? nil : "a number"
    case .truth: return leaf.holdsNumbers || leaf.isText ? nil : "a boolean"
    case .image: return leaf.physicalType == .byteArray ? nil : "an image"
    case .choice: return leaf.holdsTexts || leaf.holdsNumbers ? nil : "a string or a number"
    case .imageList:
      return leaf.physicalType == .byteArray && leaf.maximumRepetitionLevel == 1
        ? nil : "a list of images"
    case .numberList:
      return leaf.holdsNumbers && leaf.maximumRepetitionLevel == 1 ? nil : "a list of numbers"
    }
  }

  func forEachRow(
    inBlock block: Int, only field: RecordField?,
    _ body: (Int, Result<any RowValues, RowRejection>) throws -> Void
  ) throws {
    let asked = leaves.filter { field == nil || $0.key == field }
    let fields = asked.filter { !$0.value.isRepeated }.keys.sorted { $0.rawValue < $1.rawValue }
    let pathFields = pathLeaves.keys.filter { field == nil || $0 == field }
      .sorted { $0.rawValue < $1.rawValue }
    let cursor = try RowCursor(
      file, columns: fields.compactMap { leaves[$0] } + pathFields.compactMap { pathLeaves[$0] },
      rowGroup: block)
    let lists = try ParquetLists(
      file, asked.filter { $0.value.isRepeated }, rowGroup: block, paths: paths)
    var row = ParquetRow(
      paths: paths, cursors: Dictionary(uniqueKeysWithValues: zip(fields, cursor.columns)),
      pathCursors: Dictionary(
        uniqueKeysWithValues: zip(pathFields, cursor.columns.dropFirst(fields.count))))
    var number = blockStarts[block]
    while try cursor.advance() {
      do {
        try lists.advance(&row)
        try body(number, .success(row))
      } catch let rejection as RowRejection {
        try body(number, .failure(rejection))
      }
      number += 1
    }
  }

  func image(block: Int, row: Int, column: String) throws -> EncodedImage {
    if column.hasSuffix("]") { return try element(block, row, column) }
    for leaf in [column, "\(column).bytes"] {
      guard let found = file.column(named: leaf) else { continue }
      let cursor = try imageCursor(found)
      try checkPlace(block, row)
      try cursor.move(toRowGroup: block, row: row)
      if let image = try ParquetRow.image(cursor, paths: paths) { return image }
    }
    if let leaf = file.column(named: "\(column).path") {
      let cursor = try imageCursor(leaf)
      try checkPlace(block, row)
      try cursor.move(toRowGroup: block, row: row)
      if let name = try cursor.text() { return .file(path: try paths.path(name)) }
    }
    throw SourceError.changed(path: path)
  }

  /// An image in a list: `images[2]`.
  private func element(_ block: Int, _ row: Int, _ column: String) throws -> EncodedImage {
    guard let bracket = column.lastIndex(of: "["),
      let index = Int(column[column.index(after: bracket)...].dropLast()),
      let leaf = ParquetLists.leaf(of: file, String(column[..<bracket])),
      Self.obstacle(leaf, .images) == nil
    else { throw SourceError.changed(path: path) }
    try checkPlace(block, row)
    if lists?.stands(before: row, ofRowGroup: block, leaf) != true {
      lists = try ParquetLists(file, [.images: leaf], rowGroup: block, paths: paths)
    }
    guard let images = try lists?.images(ofRow: row), images.indices.contains(index),
      let image = try? images[index].get()
    else { throw SourceError.changed(path: path) }
    return image
  }

  private func checkPlace(_ block: Int, _ row: Int) throws(SourceError) {
    guard file.rowGroups.indices.contains(block),
      (0..<file.rowGroups[block].rowCount).contains(row)
    else { throw .changed(path: path) }
  }

  private func imageCursor(_ leaf: LeafColumn) throws -> ColumnCursor {
    if let cursor = imageCursors[leaf.name] { return cursor }
    let cursor = try ColumnCursor(file, column: leaf)
    imageCursors[leaf.name] = cursor
    return cursor
  }
}
