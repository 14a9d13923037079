import Parquet

/// The list columns of a row group, read in step with its other columns.
final class ParquetLists {
  private let file: ParquetFile
  private let cursors: [(field: RecordField, cursor: ListCursor)]
  private let rowGroup: Int
  private let paths: ImagePaths
  /// The images of the previous row, which are requested one by one.
  private var last: [Result<EncodedImage, RowRejection>] = []

  init(
    _ file: ParquetFile, _ leaves: [RecordField: LeafColumn], rowGroup: Int, paths: ImagePaths
  ) throws {
    self.file = file
    self.rowGroup = rowGroup
    self.paths = paths
    cursors = try leaves.sorted { $0.key.rawValue < $1.key.rawValue }.map { field, leaf in
      (field, try ListCursor(file, column: leaf, rowGroup: rowGroup))
    }
  }

  /// Returns the leaf with the elements of a list; for images in structs, the leaf of their bytes.
  static func leaf(of file: ParquetFile, _ name: String) -> LeafColumn? {
    let leaves = file.columns.filter { $0.name == name || $0.name.hasPrefix(name + ".") }
    return leaves.count == 1 ? leaves[0] : leaves.first { $0.name.hasSuffix(".bytes") }
  }

  /// Sets the lists of `row` to those of the next row.
  ///
  /// - Throws: `RowRejection` for an element of the wrong type
  func advance(_ row: inout ParquetRow) throws {
    var rejection: RowRejection?
    for (field, cursor) in cursors {
      if field.kind == .imageList {
        row.imageLists[field] = try images(field, cursor)
      } else {
        var numbers: [Double] = []
        let isThere = try cursor.forEachInNextRow { element in
          guard let number = try element?.number() else {
            rejection = RowRejection(field, "bad-value", "an element of the list is null")
            return
          }
          // Longer lists are rejected by their length.
          if numbers.count <= Record.imageLimit { numbers.append(number) }
        }
        try require(isThere, cursor)
        row.numberLists[field] = numbers
      }
    }
    if let rejection { throw rejection }
  }

  private func images(
    _ field: RecordField, _ cursor: ListCursor
  ) throws -> [Result<EncodedImage, RowRejection>] {
    var images: [Result<EncodedImage, RowRejection>] = []
    let isThere = try cursor.forEachInNextRow { element in
      guard images.count <= Record.imageLimit else { return }
      do throws(ImagePathError) {
        guard let element, let image = try ParquetRow.image(element, paths: paths) else {
          throw .nothing
        }
        images.append(.success(image))
      } catch {
        images.append(.failure(RowRejection(field, error)))
      }
    }
    try require(isThere, cursor)
    return images
  }

  private func require(_ isThere: Bool, _ cursor: ListCursor) throws(ParquetError) {
    guard !isThere else { return }
    throw .chunk(
      path: file.path, rowGroup: rowGroup, column: cursor.column.name,
      reason: "it ends before the other columns of the row group, after row \(cursor.nextRow - 1)")
  }

  /// Whether the row can still be reached.
  func stands(before row: Int, ofRowGroup rowGroup: Int, _ leaf: LeafColumn) -> Bool {
    guard let (_, cursor) = cursors.first else { return false }
    return rowGroup == self.rowGroup && cursor.column.index == leaf.index
      && row >= cursor.nextRow - 1
  }

  /// Returns the images of a row that ``stands(before:ofRowGroup:_:)`` says can be reached.
  func images(ofRow row: Int) throws -> [Result<EncodedImage, RowRejection>] {
    guard let (field, cursor) = cursors.first else { return [] }
    while cursor.nextRow <= row { last = try images(field, cursor) }
    return last
  }
}
