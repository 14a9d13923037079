extension SchemaElement {
  init(_ reader: inout ThriftReader) throws(Fault) {
    var typeNumber: Int32?
    var repetitionNumber: Int32 = 0
    var hasName = false
    var converted: Int32?
    var scale: Int32 = 0
    var precision: Int32 = 0
    try reader.readStruct { (reader, field) throws(Fault) in
      switch field.id {
      case 1: typeNumber = try reader.readInteger(field, as: Int32.self)
      case 2: typeLength = try reader.readInteger(field)
      case 3: repetitionNumber = try reader.readInteger(field)
      case 4:
        name = try reader.readText(field)
        hasName = true
      case 5: childCount = try reader.readInteger(field)
      case 6: converted = try reader.readInteger(field, as: Int32.self)
      case 7: scale = try reader.readInteger(field)
      case 8: precision = try reader.readInteger(field)
      case 10: logicalType = try LogicalType(&reader, field)
      default: try reader.skip(field)
      }
    }
    guard hasName else { throw .malformed("a field of the schema has no name") }
    guard let repetition = Repetition(rawValue: repetitionNumber) else {
      throw .malformed("schema field \(name) has the unknown repetition \(repetitionNumber)")
    }
    self.repetition = repetition
    if let typeNumber {
      guard let type = PhysicalType(rawValue: typeNumber) else {
        throw .malformed("schema field \(name) has the unknown physical type \(typeNumber)")
      }
      physicalType = type
    }
    if logicalType == nil, let converted {
      logicalType = LogicalType(
        convertedType: converted, precision: Int(precision), scale: Int(scale))
    }
  }
}

extension LogicalType {
  /// Reads the union that newer writers use.
  fileprivate init?(_ reader: inout ThriftReader, _ field: ThriftReader.Field) throws(Fault) {
    var result: LogicalType?
    try reader.readStruct(field) { (reader, field) throws(Fault) in
      result = try Self.member(&reader, field)
    }
    guard let result else { return nil }
    self = result
  }

  private static func member(
    _ reader: inout ThriftReader, _ field: ThriftReader.Field
  ) throws(Fault) -> LogicalType {
    var parameters = LogicalTypeParameters()
    if field.type == .structure {
      try reader.readStruct { (reader, inner) throws(Fault) in
        try parameters.read(&reader, inner, of: field.id)
      }
    } else {
      try reader.skip(field)
    }
    switch field.id {
    case 1: return .string
    case 4: return .enumeration
    case 5: return .decimal(precision: parameters.precision, scale: parameters.scale)
    case 6: return .date
    case 7: return .time(parameters.unit, isUTC: parameters.isUTC)
    case 8: return .timestamp(parameters.unit, isUTC: parameters.isUTC)
    case 10: return .integer(bits: parameters.bits, isSigned: parameters.isSigned)
    case 11: return .null
    case 12: return .json
    case 13: return .bson
    case 14: return .uuid
    case 15: return .float16
    default: return .unknown(field.id)
    }
  }

  /// Reads the older equivalent.
  fileprivate init?(convertedType: Int32, precision: Int, scale: Int) {
    switch convertedType {
    case 0: self = .string
    case 4: self = .enumeration
    case 5: self = .decimal(precision: precision, scale: scale)
    case 6: self = .date
    case 7: self = .time(.milliseconds, isUTC: true)
    case 8: self = .time(.microseconds, isUTC: true)
    case 9: self = .timestamp(.milliseconds, isUTC: true)
    case 10: self = .timestamp(.microseconds, isUTC: true)
    case 11...14: self = .integer(bits: 8 << (Int(convertedType) - 11), isSigned: false)
    case 15...18: self = .integer(bits: 8 << (Int(convertedType) - 15), isSigned: true)
    case 19: self = .json
    case 20: self = .bson
    case 21: self = .interval
    default: return nil
    }
  }
}

/// The parameters of all logical types that have any.
private struct LogicalTypeParameters {
  var precision = 0
  var scale = 0
  var bits = 0
  var isSigned = true
  var isUTC = false
  var unit = TimeUnit.milliseconds

  mutating func read(
    _ reader: inout ThriftReader, _ field: ThriftReader.Field, of type: Int
  ) throws(Fault) {
    switch (type, field.id) {
    case (5, 1): scale = Int(try reader.readInteger(field, as: Int32.self))
    case (5, 2): precision = Int(try reader.readInteger(field, as: Int32.self))
    case (7, 1), (8, 1): isUTC = try reader.readBool(field)
    case (7, 2), (8, 2):
      try reader.readStruct(field) { (reader, field) throws(Fault) in
        switch field.id {
        case 2: unit = .microseconds
        case 3: unit = .nanoseconds
        default: unit = .milliseconds
        }
        try reader.skip(field)
      }
    case (10, 1): bits = Int(try reader.readInteger(field, as: Int8.self))
    case (10, 2): isSigned = try reader.readBool(field)
    default: try reader.skip(field)
    }
  }
}
