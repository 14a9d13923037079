import Files

/// A stage whose items can be processed in any number of processes that share nothing.
///
/// A part is a run that writes outputs instead of committing them; the merge commits them in the
/// order of the items, as if it had processed them. So `process` must need nothing but its item and
/// earlier stages' results, and a part changes nothing that others read: databases are opened as
/// `StageContext.isPart` requires. Its plans have a ``Division``.
public protocol DivisibleStage: Stage {
  /// The workspace databases that its work writes.
  static var databases: [String] { get }

  /// Whether a part's outputs must all belong to items as long as nothing has begun: false if an
  /// ordinary run may already have done some.
  static var needsAllParts: Bool { get }

  /// Returns the files outside the workspace that outputs depend on, beyond what item keys cover.
  func partInputs() throws -> [StageInput]
}

extension DivisibleStage {
  public static var databases: [String] { [] }
  public static var needsAllParts: Bool { false }
  public func partInputs() throws -> [StageInput] { try inputs() }
}

/// The division of a plan's items, and the transfer of outputs from the process that computes them
/// to the one that commits them.
public protocol Division<Item, Output> {
  associatedtype Item
  associatedtype Output

  /// Returns the item's position among all items of the stage, including finished ones, which
  /// decides its part.
  ///
  /// Nil: left to the merge, which may need the parts' results.
  func position(of item: Item) -> Int?

  /// Returns the item's identity, wherever its files lie: equal keys give equal outputs.
  func key(of item: Item) throws -> String

  /// Writes an output for another process.
  func write(_ output: Output, of item: Item, to writer: inout OutputWriter) throws

  /// Reads back an output; the bytes may be arbitrary.
  ///
  /// - Throws: ``BadOutput`` if they are not an output of the item
  func output(of item: Item, from reader: inout OutputReader) throws -> Output
}

/// Bytes that are not an output of their item.
public struct BadOutput: Error {
  let reason: String

  public init(_ reason: String) { self.reason = reason }
}

/// Writes the fields of an output in sequence, for ``OutputReader``.
public struct OutputWriter {
  package private(set) var bytes: [UInt8] = []

  package init() {}

  public mutating func add(_ number: Int) { bytes += PartFormat.littleEndian(Int64(number)) }
  public mutating func add(_ number: Double) { bytes += PartFormat.littleEndian(number.bitPattern) }

  public mutating func add(_ content: [UInt8]) {
    add(content.count)
    bytes += content
  }

  public mutating func add(_ text: String) { add(Array(text.utf8)) }

  /// Appends whether there is a value, then the value.
  public mutating func add<Value>(
    _ value: Value?, _ write: (inout OutputWriter, Value) throws -> Void
  ) rethrows {
    bytes.append(value == nil ? 0 : 1)
    if let value { try write(&self, value) }
  }

  public mutating func add(_ number: Int?) { add(number) { $0.add($1) } }
  public mutating func add(_ text: String?) { add(text) { $0.add($1) } }
  public mutating func add(_ content: [UInt8]?) { add(content) { $0.add($1) } }

  /// Appends the count, then each value.
  public mutating func add<Value>(
    _ values: [Value], _ write: (inout OutputWriter, Value) throws -> Void
  ) rethrows {
    add(values.count)
    for value in values { try write(&self, value) }
  }
}

/// Reads the fields of an output.
public struct OutputReader {
  private var reader: ByteReader

  package init(_ bytes: [UInt8]) { reader = ByteReader(bytes) }

  public mutating func int() throws(BadOutput) -> Int {
    Int(try take { reader throws(ByteReader.EndOfBytes) in try reader.take(Int64.self) })
  }

  /// A finite number.
  public mutating func double() throws(BadOutput) -> Double {
    let bits = try take { reader throws(ByteReader.EndOfBytes) in try reader.take(UInt64.self) }
    let number = Double(bitPattern: bits)
    guard number.isFinite else { throw BadOutput("invalid number \(number)") }
    return number
  }

  public mutating func bytes() throws(BadOutput) -> [UInt8] {
    let count = try int()
    return Array(
      try take { reader throws(ByteReader.EndOfBytes) in try reader.take(count) })
  }

  public mutating func text() throws(BadOutput) -> String {
    guard let text = String(validating: try bytes(), as: UTF8.self) else {
      throw BadOutput("a text is not UTF-8")
    }
    return text
  }

  public mutating func optional<Value>(
    _ read: (inout OutputReader) throws(BadOutput) -> Value
  ) throws(BadOutput) -> Value? {
    let isThere = try take { reader throws(ByteReader.EndOfBytes) in try reader.take(UInt8.self) }
    guard isThere <= 1 else { throw BadOutput("invalid flag \(isThere)") }
    return isThere == 1 ? try read(&self) : nil
  }

  /// Reads any number of values: each occupies bytes of its own.
  public mutating func list<Value>(
    _ read: (inout OutputReader) throws(BadOutput) -> Value
  ) throws(BadOutput) -> [Value] {
    let count = try int()
    guard count >= 0 else { throw BadOutput("a list of \(count) elements") }
    var values: [Value] = []
    for _ in 0..<count { values.append(try read(&self)) }
    return values
  }

  /// Rejects leftover bytes.
  func end() throws(BadOutput) {
    let rest = reader.bytes.count - reader.position
    guard rest == 0 else { throw BadOutput("\(rest) extra bytes") }
  }

  private mutating func take<Value>(
    _ read: (inout ByteReader) throws(ByteReader.EndOfBytes) -> Value
  ) throws(BadOutput) -> Value {
    do { return try read(&reader) } catch { throw BadOutput("it is truncated") }
  }
}
