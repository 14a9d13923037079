import Files

/// A record of a text file; numbers and truth values may be spelled as text.
struct TextRow: RowValues {
  let object: JSON.Object
  let names: ColumnNames
  let folder: String

  private func value(_ field: RecordField) -> JSON? {
    let value = object[names.name(of: field)]
    return value == .null ? nil : value
  }

  func text(_ field: RecordField) throws -> String? {
    guard let value = value(field) else { return nil }
    if let text = value.string { return text }
    if case .integer(let number) = value { return String(number) }
    throw wrongKind(field, value, "a text")
  }

  func number(_ field: RecordField) throws -> Double? {
    guard let value = value(field) else { return nil }
    if let text = value.string, text.isEmpty { return nil }
    guard
      let number = value.double ?? value.bool.map({ $0 ? 1 : 0 })
        ?? value.string.flatMap(SpelledValue.number)
    else { throw wrongKind(field, value, "a number") }
    return number
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

  func image(_ field: RecordField) throws -> EncodedImage? {
    guard let value = value(field) else { return nil }
    guard let image = image(value) else {
      throw RowFault(field, "unreadable-image", "neither the path of a file nor base64")
    }
    return image
  }

  func image(column: String) -> EncodedImage? { object[column].flatMap(image) }

  private func image(_ value: JSON) -> EncodedImage? {
    if let text = value.string { return EncodedImage(text: text, folder: folder) }
    if let bytes = value["bytes"]?.string { return EncodedImage(base64: bytes) }
    return value["path"]?.string.flatMap { .file(path: resolved($0, in: folder)) }
  }

  private func wrongKind(_ field: RecordField, _ value: JSON, _ expected: String) -> RowFault {
    RowFault(field, "bad-value", "\(value.text().prefix(60)) is not \(expected)")
  }
}
