import Catalog

/// The values of one row; a field that the source does not have is nil everywhere.
protocol RowValues {
  /// Each throws a ``RowRejection`` for a value that is not of the kind.
  func text(_ field: RecordField) throws -> String?
  func number(_ field: RecordField) throws -> Double?
  func truth(_ field: RecordField) throws -> Bool?
  func image(_ field: RecordField) throws -> EncodedImage?
  /// A text, or an integer as its digits.
  func choice(_ field: RecordField) throws -> String?
  /// The elements of a list; an element that is no image is a rejection of its own.
  func images(_ field: RecordField) throws -> [Result<EncodedImage, RowRejection>]?
  func numbers(_ field: RecordField) throws -> [Double]?
  /// Where an image of the list lies if in a row of its own.
  func place(ofImage index: Int) -> (rowGroup: Int, row: Int)?
}

extension RowValues {
  func place(ofImage index: Int) -> (rowGroup: Int, row: Int)? { nil }
}

/// Why one row cannot be used, or is not wanted.
struct RowRejection: Error {
  var field: RecordField?
  var code: String
  var reason: String

  init(_ field: RecordField?, _ code: String, _ reason: String) {
    self.field = field
    self.code = code
    self.reason = reason
  }

  /// What setting `ingest.drop` leaves out.
  static let dropped = "dropped"
  static let droppedCode = RejectionCode.filterPrefix + dropped

  static func filtered(_ field: RecordField?, _ what: String, _ reason: String) -> RowRejection {
    RowRejection(field, RejectionCode.filterPrefix + what, reason)
  }

  static func missing(_ field: RecordField) -> RowRejection {
    RowRejection(field, "missing-value", "no value")
  }

  var isFiltered: Bool { RejectionCode.isFiltered(code) }
}
