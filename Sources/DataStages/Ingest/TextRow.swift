import Files

/// A record of a text file; numbers and booleans may be spelled as text.
struct TextRow: RowValues {
  let object: JSON.Object
  let plan: ColumnPlan
  let paths: ImagePaths
  /// Whether `0,5` is a number.
  let hasDecimalCommas: Bool

  private func value(_ field: RecordField) -> JSON? {
    let value = object[plan.name(of: field)]
    return value == .null ? nil : value
  }

  func text(_ field: RecordField) throws -> String? {
    guard let value = value(field) else { return nil }
    if let text = value.string { return text }
    switch value {
    case .integer(let number): return String(number)
    case .unsigned(let number): return String(number)
    default: throw wrongKind(field, value, "a text")
    }
  }

  func number(_ field: RecordField) throws -> Double? {
    guard let value = value(field) else { return nil }
    if let text = value.string, text.isEmpty { return nil }
    guard
      let number = value.double ?? value.bool.map({ $0 ? 1 : 0 })
        ?? value.string.flatMap({ SpelledValue.number(plainNumber($0)) })
    else { throw wrongKind(field, value, "a number") }
    return number
  }

  /// The text with a point where it may be a number with a comma.
  private func plainNumber(_ text: String) -> String {
    hasDecimalCommas && !text.contains(".") && text.count(where: { $0 == "," }) == 1
      ? text.replacing(",", with: ".") : text
  }

  func truth(_ field: RecordField) throws -> Bool? {
    guard let value = value(field) else { return nil }
    if let text = value.string, text.isEmpty { return nil }
    guard
      let truth = value.bool ?? value.double.flatMap(SpelledValue.truth)
        ?? value.string.flatMap(SpelledValue.truth)
    else { throw wrongKind(field, value, "true or false") }
    return truth
  }

  func choice(_ field: RecordField) throws -> String? {
    guard let value = value(field) else { return nil }
    if let number = value.int { return "\(number)" }
    if case .number(let number) = value { return "\(number)" }
    // As for a column of booleans in a parquet file.
    if let truth = value.bool { return truth ? "1" : "0" }
    guard let text = try text(field) else { return nil }
    return Double(plainNumber(text)) == nil ? text : plainNumber(text)
  }

  func image(_ field: RecordField) throws -> EncodedImage? {
    guard let value = value(field) else { return nil }
    do throws(ImagePathError) { return try image(value) } catch { throw RowRejection(field, error) }
  }

  func images(_ field: RecordField) throws -> [Result<EncodedImage, RowRejection>]? {
    guard let value = value(field) else { return nil }
    guard let elements = value.array else { throw wrongKind(field, value, "a list of images") }
    return elements.map { element in
      do throws(ImagePathError) {
        guard let image = try image(element) else { throw .nothing }
        return .success(image)
      } catch {
        return .failure(RowRejection(field, error))
      }
    }
  }

  func numbers(_ field: RecordField) throws -> [Double]? {
    guard let value = value(field) else { return nil }
    guard let elements = value.array else { throw wrongKind(field, value, "a list of numbers") }
    return try elements.map { element in
      guard let number = element.double ?? element.bool.map({ $0 ? 1 : 0 }) else {
        throw wrongKind(field, element, "a number")
      }
      return number
    }
  }

  /// Returns the image of a column, or of an element of its list if the name has an index in
  /// brackets.
  func image(column: String) throws(ImagePathError) -> EncodedImage? {
    if let value = object[column] { return try image(value) }
    guard column.hasSuffix("]"), let bracket = column.lastIndex(of: "["),
      let index = Int(column[column.index(after: bracket)...].dropLast()),
      let element = object[String(column[..<bracket])]?[index]
    else { return nil }
    return try image(element)
  }

  private func image(_ value: JSON) throws(ImagePathError) -> EncodedImage? {
    if let text = value.string { return try EncodedImage(text: text, paths: paths) }
    if let bytes = value["bytes"]?.string { return try EncodedImage(base64: bytes) }
    guard let path = value["path"]?.string else {
      if value == .null { return nil }
      throw .nothing
    }
    return .file(path: try paths.path(path))
  }

  private func wrongKind(_ field: RecordField, _ value: JSON, _ expected: String) -> RowRejection {
    RowRejection(field, "bad-value", "\(value.text().prefix(60)) is not \(expected)")
  }
}
