/// The storage type of values.
public enum PhysicalType: Int32, Sendable, CustomStringConvertible {
  case boolean = 0
  case int32 = 1
  case int64 = 2
  case int96 = 3
  case float = 4
  case double = 5
  case byteArray = 6
  case fixedLengthByteArray = 7

  /// The name that the format's definition uses.
  public var description: String {
    switch self {
    case .boolean: "BOOLEAN"
    case .int32: "INT32"
    case .int64: "INT64"
    case .int96: "INT96"
    case .float: "FLOAT"
    case .double: "DOUBLE"
    case .byteArray: "BYTE_ARRAY"
    case .fixedLengthByteArray: "FIXED_LEN_BYTE_ARRAY"
    }
  }
}

public enum TimeUnit: Sendable, CustomStringConvertible {
  case milliseconds
  case microseconds
  case nanoseconds

  /// The name that the format's definition uses.
  public var description: String {
    switch self {
    case .milliseconds: "MILLIS"
    case .microseconds: "MICROS"
    case .nanoseconds: "NANOS"
    }
  }
}

/// The meaning of a column's values; ``PhysicalType`` describes their storage.
public enum LogicalType: Sendable, Equatable {
  case string
  case enumeration
  case json
  case bson
  case uuid
  case date
  case float16
  case interval
  case null
  case time(TimeUnit, isUTC: Bool)
  case timestamp(TimeUnit, isUTC: Bool)
  case decimal(precision: Int, scale: Int)
  case integer(bits: Int, isSigned: Bool)
  /// An unknown type, by its number in the format's definition.
  case unknown(Int)
}

/// A column with values: a leaf of the schema's tree.
public struct LeafColumn: Sendable {
  /// The index among the leaves, and in every row group.
  public let index: Int
  /// The path from the root, joined by dots: `jpg_0.bytes`.
  public let name: String
  public let physicalType: PhysicalType
  /// Bytes a value, for `fixedLengthByteArray`; 0 otherwise.
  public let typeLength: Int
  public let logicalType: LogicalType?
  /// The number of optional fields on the path; 0 means that every row has a value.
  public let maximumDefinitionLevel: Int
  /// The number of repeated fields on the path; 0 means at most one value per row.
  public let maximumRepetitionLevel: Int

  public var isOptional: Bool { maximumDefinitionLevel > 0 }
  public var isRepeated: Bool { maximumRepetitionLevel > 0 }

  /// The size of a value in bytes, 0 if it varies.
  var valueWidth: Int {
    switch physicalType {
    case .boolean: 1
    case .int32, .float: 4
    case .int64, .double: 8
    case .int96: 12
    case .byteArray: 0
    case .fixedLengthByteArray: typeLength
    }
  }
}

/// One node of the schema as listed in the footer, parents before children.
struct SchemaElement {
  enum Repetition: Int32 {
    case required = 0
    case optional = 1
    case repeated = 2
  }

  var physicalType: PhysicalType?
  var typeLength: Int32 = 0
  var repetition = Repetition.required
  var name = ""
  var childCount: Int32 = 0
  var logicalType: LogicalType?
}

/// Walks the listed nodes and collects the leaves.
struct SchemaWalk {
  static let maximumDepth = 64
  /// Wider than any real value; a larger width only serves to ask for memory.
  static let maximumTypeLength = 1 << 24

  private let elements: [SchemaElement]
  private var next = 1
  private var leaves: [LeafColumn] = []

  static func leaves(of elements: [SchemaElement]) throws(Fault) -> [LeafColumn] {
    guard let root = elements.first else { throw .malformed("the schema is empty") }
    // A lone root that claims to be a column represents a file without columns.
    if root.physicalType != nil, elements.count == 1 { return [] }
    var walk = SchemaWalk(elements)
    try walk.visitChildren(of: root, path: [], definition: 0, repetition: 0)
    guard walk.next == elements.count else {
      throw .malformed(
        "the schema lists \(elements.count) fields, but its tree has only \(walk.next)")
    }
    return walk.leaves
  }

  private init(_ elements: [SchemaElement]) { self.elements = elements }

  private mutating func visitChildren(
    of parent: SchemaElement, path: [String], definition: Int, repetition: Int
  ) throws(Fault) {
    guard path.count < Self.maximumDepth else {
      throw .malformed("the schema is nested deeper than \(Self.maximumDepth) levels")
    }
    guard parent.childCount >= 0, Int(parent.childCount) <= elements.count - next else {
      throw .malformed(
        "schema field \(parent.name) claims \(parent.childCount) children, "
          + "but \(elements.count - next) fields are left")
    }
    for _ in 0..<parent.childCount {
      guard next < elements.count else { throw .malformed("the schema ends inside a group") }
      let element = elements[next]
      next += 1
      let path = path + [element.name]
      let definition = definition + (element.repetition == .required ? 0 : 1)
      let repetition = repetition + (element.repetition == .repeated ? 1 : 0)
      if let type = element.physicalType {
        try addLeaf(element, type, path, definition, repetition)
      } else {
        try visitChildren(
          of: element, path: path, definition: definition, repetition: repetition)
      }
    }
  }

  private mutating func addLeaf(
    _ element: SchemaElement, _ type: PhysicalType, _ path: [String], _ definition: Int,
    _ repetition: Int
  ) throws(Fault) {
    let name = path.joined(separator: ".")
    guard element.childCount == 0 else {
      throw .malformed("schema field \(name) has a type and children")
    }
    let width = Int(element.typeLength)
    if type == .fixedLengthByteArray {
      guard (1...Self.maximumTypeLength).contains(width) else {
        throw .malformed(
          "column \(name) has values of \(width) bytes, "
            + "expected 1 to \(Self.maximumTypeLength)")
      }
    }
    leaves.append(
      LeafColumn(
        index: leaves.count, name: name, physicalType: type,
        typeLength: type == .fixedLengthByteArray ? width : 0,
        logicalType: element.logicalType, maximumDefinitionLevel: definition,
        maximumRepetitionLevel: repetition))
  }
}
