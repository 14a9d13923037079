import Parquet

/// The current row of a set of cursors.
struct ParquetRow: RowValues {
  let paths: ImagePaths
  let cursors: [RecordField: ColumnCursor]
  let pathCursors: [RecordField: ColumnCursor]
  /// The row's lists.
  var imageLists: [RecordField: [Result<EncodedImage, RowRejection>]] = [:]
  var numberLists: [RecordField: [Double]] = [:]

  func text(_ field: RecordField) throws -> String? {
    guard let cursor = cursors[field] else { return nil }
    guard cursor.column.holdsTexts else {
      // Times are kept as raw numbers.
      return try cursor.integer().map { String($0) }
    }
    return try row(field) { () throws(ParquetError) in try cursor.text() }
  }

  func number(_ field: RecordField) throws -> Double? {
    guard let cursor = cursors[field] else { return nil }
    guard cursor.column.isText else {
      return try row(field) { () throws(ParquetError) in try cursor.number() }
    }
    return try spelled(field, cursor, "a number", SpelledValue.number)
  }

  func truth(_ field: RecordField) throws -> Bool? {
    guard let cursor = cursors[field] else { return nil }
    guard cursor.column.isText else {
      let number = try row(field) { () throws(ParquetError) in try cursor.number() }
      return try number.map { number in
        guard let truth = SpelledValue.truth(number) else {
          throw RowRejection(field, "bad-value", "\(number) is not true, false, 1 or 0")
        }
        return truth
      }
    }
    return try spelled(field, cursor, "true or false", SpelledValue.truth)
  }

  func image(_ field: RecordField) throws -> EncodedImage? {
    do throws(ImagePathError) {
      if let cursor = cursors[field], !cursor.isNull {
        return try Self.image(cursor, paths: paths)
      }
    } catch {
      throw RowRejection(field, error)
    }
    guard let cursor = pathCursors[field],
      let name = try row(field, { () throws(ParquetError) in try cursor.text() })
    else { return nil }
    do throws(ImagePathError) { return .file(path: try paths.path(name)) } catch {
      throw RowRejection(field, error)
    }
  }

  /// Returns the image that a column holds as bytes or, if it is text, names.
  static func image(
    _ cursor: ColumnCursor, paths: ImagePaths
  ) throws(ImagePathError) -> EncodedImage? {
    guard let bytes = cursor.bytes else { return nil }
    // Some writers declare binary columns as strings; no image file is UTF-8.
    if cursor.column.logicalType == .string, let text = String(validating: bytes, as: UTF8.self) {
      return try EncodedImage(text: text, paths: paths)
    }
    return .bytes([UInt8](bytes))
  }

  func choice(_ field: RecordField) throws -> String? {
    guard let cursor = cursors[field] else { return nil }
    guard !cursor.column.holdsTexts else { return try text(field) }
    // In a column with gaps, pandas stores integers as floats.
    return try number(field).map { number in Int(exactly: number).map { "\($0)" } ?? "\(number)" }
  }

  func images(_ field: RecordField) throws -> [Result<EncodedImage, RowRejection>]? {
    imageLists[field]
  }

  func numbers(_ field: RecordField) throws -> [Double]? { numberLists[field] }

  private func spelled<Value>(
    _ field: RecordField, _ cursor: ColumnCursor, _ expected: String, _ read: (String) -> Value?
  ) throws -> Value? {
    let text = try row(field) { () throws(ParquetError) in try cursor.text() }
    guard let text, !text.isEmpty else { return nil }
    guard let value = read(text) else {
      throw RowRejection(field, "bad-value", "\"\(text.prefix(60))\" is not \(expected)")
    }
    return value
  }

  /// Turns a value of the wrong type into a row rejection; other errors stop the run.
  private func row<Value>(
    _ field: RecordField, _ read: () throws(ParquetError) -> Value
  ) throws -> Value {
    do throws(ParquetError) {
      return try read()
    } catch {
      guard case .value(_, _, _, _, let reason) = error else { throw error }
      throw RowRejection(field, field.kind == .text ? "bad-text" : "bad-value", reason)
    }
  }
}
