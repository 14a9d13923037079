/// The meaning of a column's values, from their physical and logical type together.
///
/// Everything that reads numbers or texts decides here, so that no value is ever read without its
/// logical type.
enum ColumnMeaning: Equatable {
  case truth
  case integer(isSigned: Bool)
  /// An integer divided by 10 to the scale.
  case decimal(scale: Int)
  case half
  case float
  case double
  case text
  case uuid
  /// Every value is absent.
  case nothing
  /// Dates, times and anything else that is neither a number nor a text.
  case other

  init(_ physical: PhysicalType, length: Int, _ logical: LogicalType?) {
    switch (logical, physical) {
    case (.null, _): self = .nothing
    case (.integer(_, let isSigned), .int32), (.integer(_, let isSigned), .int64):
      self = .integer(isSigned: isSigned)
    case (.decimal(let precision, let scale), .int32),
      (.decimal(let precision, let scale), .int64),
      (.decimal(let precision, let scale), .byteArray),
      (.decimal(let precision, let scale), .fixedLengthByteArray):
      self = 0 <= scale && scale <= precision ? .decimal(scale: scale) : .other
    case (.float16, .fixedLengthByteArray): self = length == 2 ? .half : .other
    case (.uuid, .fixedLengthByteArray): self = length == 16 ? .uuid : .other
    case (.string, .byteArray), (.enumeration, .byteArray), (.json, .byteArray): self = .text
    case (nil, _), (.unknown, _):
      // An unknown type is ignored: its values are read as stored.
      switch physical {
      case .boolean: self = .truth
      case .int32, .int64: self = .integer(isSigned: true)
      case .float: self = .float
      case .double: self = .double
      case .byteArray, .fixedLengthByteArray: self = .text
      case .int96: self = .other
      }
    default: self = .other
    }
  }
}

extension LeafColumn {
  var meaning: ColumnMeaning { ColumnMeaning(physicalType, length: typeLength, logicalType) }

  /// Whether ``ColumnCursor/integer()`` gives the values, whatever they represent.
  public var isInteger: Bool { physicalType == .int32 || physicalType == .int64 }

  /// Whether the values are texts, which may spell numbers.
  public var isText: Bool { meaning == .text }

  /// Whether ``ColumnCursor/number()`` gives the values.
  public var holdsNumbers: Bool {
    switch meaning {
    case .truth, .integer, .decimal, .half, .float, .double, .nothing: true
    case .text, .uuid, .other: false
    }
  }

  /// Whether ``ColumnCursor/text()`` gives the values.
  public var holdsTexts: Bool {
    switch meaning {
    case .text, .uuid, .integer, .decimal, .nothing: true
    case .truth, .half, .float, .double, .other: false
    }
  }

  /// The type's name in the format's definition: that of the logical type if there is one.
  public var typeName: String {
    switch (logicalType, physicalType) {
    case (nil, .fixedLengthByteArray): "\(physicalType)(\(typeLength))"
    case (nil, _): "\(physicalType)"
    case (let logical?, _): "\(logical)"
    }
  }
}

extension LogicalType: CustomStringConvertible {
  public var description: String {
    switch self {
    case .string: "STRING"
    case .enumeration: "ENUM"
    case .json: "JSON"
    case .bson: "BSON"
    case .uuid: "UUID"
    case .date: "DATE"
    case .float16: "FLOAT16"
    case .null: "NULL"
    case .interval: "INTERVAL"
    case .time(let unit, _): "TIME(\(unit))"
    case .timestamp(let unit, _): "TIMESTAMP(\(unit))"
    case .decimal(let precision, let scale): "DECIMAL(\(precision), \(scale))"
    case .integer(let bits, let isSigned): "\(isSigned ? "INT" : "UINT")_\(bits)"
    case .unknown(let number): "an unknown logical type (\(number))"
    }
  }
}
