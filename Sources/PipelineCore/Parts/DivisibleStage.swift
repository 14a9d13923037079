import Files

/// A stage whose items can be processed in any number of processes that share nothing.
///
/// A part is a run that writes outputs instead of committing them; whoever merges commits them in the order of
/// the items, as if it had processed them. So `process` must need nothing but its item and what earlier
/// stages have made, and a part changes nothing that others read: databases are opened as
/// `StageContext.isPart` asks. Its plans have a ``Division``.
public protocol DivisibleStage: Stage {
  /// The databases in the workspace that its work writes to.
  static var databases: [String] { get }

  /// Whether every output of a part belongs to an item as long as nothing is begun: false where an ordinary run
  /// may have done some already.
  static var needsAllParts: Bool { get }

  /// What outputs depend on of the files outside the workspace, beyond what items' keys say.
  func partInputs() throws -> [StageInput]
}

extension DivisibleStage {
  public static var databases: [String] { [] }
  public static var needsAllParts: Bool { false }
  public func partInputs() throws -> [StageInput] { try inputs() }
}

/// How the items of a plan are divided, and how outputs get from the process that computes them to the one that
/// commits them.
public protocol Division<Item, Output> {
  associatedtype Item
  associatedtype Output

  /// The item's place among all items of the stage, those included that are done: by it items are divided.
  ///
  /// Nil: parts leave it to whoever merges, and it may need what they have made.
  func position(of item: Item) -> Int?

  /// What the item is, wherever its files lie: equal keys give equal outputs.
  func key(of item: Item) throws -> String

  /// Writes an output for another process.
  func write(_ output: Output, of item: Item, to writer: inout OutputWriter) throws

  /// Reads what `write` has written, which may be any bytes.
  ///
  /// - Throws: ``BadOutput`` where it is not an output of the item
  func output(of item: Item, from reader: inout OutputReader) throws -> Output
}

/// Bytes that are not an output of their item.
public struct BadOutput: Error {
  let reason: String

  public init(_ reason: String) { self.reason = reason }
}

/// Writes the fields of an output one after the other, as ``OutputReader`` reads them.
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

  /// Whether there is a value, and the value.
  public mutating func add<Value>(
    _ value: Value?, _ write: (inout OutputWriter, Value) throws -> Void
  ) rethrows {
    bytes.append(value == nil ? 0 : 1)
    if let value { try write(&self, value) }
  }

  public mutating func add(_ number: Int?) { add(number) { $0.add($1) } }
  public mutating func add(_ text: String?) { add(text) { $0.add($1) } }
  public mutating func add(_ content: [UInt8]?) { add(content) { $0.add($1) } }

  /// How many there are, and each.
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

  /// Values, whatever their number: each takes bytes of its own.
  public mutating func list<Value>(
    _ read: (inout OutputReader) throws(BadOutput) -> Value
  ) throws(BadOutput) -> [Value] {
    let count = try int()
    guard count >= 0 else { throw BadOutput("a list of \(count) elements") }
    var values: [Value] = []
    for _ in 0..<count { values.append(try read(&self)) }
    return values
  }

  /// Refuses bytes that nothing has read.
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
