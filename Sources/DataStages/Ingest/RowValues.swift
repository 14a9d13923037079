import Catalog

/// The values of one row; a field that the source does not have is always nil.
protocol RowValues {
  /// Each throws a ``RowRejection`` for a value of the wrong type.
  func text(_ field: RecordField) throws -> String?
  func number(_ field: RecordField) throws -> Double?
  func truth(_ field: RecordField) throws -> Bool?
  func image(_ field: RecordField) throws -> EncodedImage?
  /// Returns a text, or the digits of an integer.
  func choice(_ field: RecordField) throws -> String?
  /// Returns the elements of a list; an element that is not an image becomes its own rejection.
  func images(_ field: RecordField) throws -> [Result<EncodedImage, RowRejection>]?
  func numbers(_ field: RecordField) throws -> [Double]?
  /// Returns the location of a list's image if it is in another row.
  func place(ofImage index: Int) -> (rowGroup: Int, row: Int)?
}

extension RowValues {
  func place(ofImage index: Int) -> (rowGroup: Int, row: Int)? { nil }
}

/// Why one row is unusable or not selected.
struct RowRejection: Error {
  var field: RecordField?
  var code: String
  var reason: String

  init(_ field: RecordField?, _ code: String, _ reason: String) {
    self.field = field
    self.code = code
    self.reason = reason
  }

  /// The code for rows that setting `ingest.drop` leaves out.
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
