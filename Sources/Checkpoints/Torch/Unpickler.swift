import Files

/// Reads the pickle of a torch checkpoint, which is a program for a small machine with a stack.
///
/// Python's own reader calls whatever function the program names. This one knows containers,
/// numbers, texts, storages and tensors, and calls nothing. What any other name would make is an empty
/// dictionary, which takes what the program puts into it. Lists, tuples and dictionaries live in one
/// table and are values by their number in it, so that a hostile program can build cycles and deep
/// nests, but freeing them needs no recursion.
///
/// Source: Python's `pickletools`; names as in `torch/_utils.py` and `torch/serialization.py`.
struct Unpickler {
  enum Value {
    case none
    case bool(Bool)
    case int(Int)
    case double(Double)
    case string(String)
    /// A tuple or list; a dictionary as keys and values in turn. The number is its place in the table.
    case sequence(Int)
    case dictionary(Int)
    case name(PickledName)
    case storage(TorchStorage)
    case tensor(TorchTensor)
  }

  struct Failure: Error {
    let problem: String
    /// Whether the program would continue behind the bytes that were given.
    var isCut = false
  }

  /// Sequences and dictionaries.
  private(set) var containers: [[Value]] = []
  /// Storages that the program names, by their keys.
  private(set) var storages: [String: TorchStorage] = [:]
  /// Names that the program would call, other than those of tensors and containers.
  private(set) var calledNames: Set<String> = []
  private var reader: ByteReader
  private var stack: [Value] = []
  /// Heights of the stack where a group of values begins.
  private var marks: [Int] = []
  private var memo: [Int: Value] = [:]

  /// - Parameter start: where in `bytes` the program begins
  init(_ bytes: [UInt8], from start: Int = 0) { reader = ByteReader(bytes, from: start) }

  /// Behind the last instruction that was run.
  var position: Int { reader.position }

  /// Runs the program; the result is its value.
  mutating func run() throws(Failure) -> Value {
    while true {
      let start = reader.position
      do {
        if let result = try step() { return result }
      } catch let failure as Failure {
        throw Failure(problem: "pickle, byte \(start): \(failure.problem)")
      } catch {
        throw Failure(problem: "pickle, byte \(start): the program ends too early", isCut: true)
      }
    }
  }

  /// Runs one instruction; the value that the program stops with.
  private mutating func step() throws -> Value? {
    let code = try reader.take(UInt8.self)
    switch Character(Unicode.Scalar(code)) {
    // Program
    case "\u{80}": _ = try reader.take(1)  // protocol
    case "\u{95}": _ = try reader.take(8)  // frame
    case ".": return try pop()
    // Numbers and texts
    case "N": stack.append(.none)
    case "\u{88}": stack.append(.bool(true))
    case "\u{89}": stack.append(.bool(false))
    case "K": stack.append(.int(Int(try reader.take(UInt8.self))))
    case "M": stack.append(.int(Int(try reader.take(UInt16.self))))
    case "J": stack.append(.int(Int(try reader.take(Int32.self))))
    case "\u{8a}": try pushLong(count: Int(try reader.take(UInt8.self)))
    case "\u{8b}": try pushLong(count: Int(try reader.take(UInt32.self)))
    case "G":
      let bits = UInt64(bigEndian: UInt64(littleEndian: try reader.take(UInt64.self)))
      stack.append(.double(Double(bitPattern: bits)))
    case "X": try pushText(count: Int(try reader.take(UInt32.self)))
    case "\u{8c}": try pushText(count: Int(try reader.take(UInt8.self)))
    case "\u{8d}": try pushText(count: try takeCount())
    // Texts of Python 2 and bytes, in any encoding or none
    case "T", "B": try pushBytes(count: Int(try reader.take(UInt32.self)))
    case "U", "C": try pushBytes(count: Int(try reader.take(UInt8.self)))
    case "\u{8e}", "\u{96}": try pushBytes(count: try takeCount())
    // Containers
    case "(": marks.append(stack.count)
    case ")", "]", "\u{8f}": pushSequence([])
    case "\u{85}": try pushSequence(popLast(1))
    case "\u{86}": try pushSequence(popLast(2))
    case "\u{87}": try pushSequence(popLast(3))
    case "t", "l", "\u{91}": try pushSequence(popGroup())
    case "}": try pushDictionary([])
    case "d": try pushDictionary(popGroup())
    case "a": try appendToSequence(popLast(1))
    case "e", "\u{90}": try appendToSequence(popGroup())
    case "s": try appendToDictionary(popLast(2))
    case "u": try appendToDictionary(popGroup())
    // Memory
    case "q": memo[Int(try reader.take(UInt8.self))] = try top()
    case "r": memo[Int(try reader.take(UInt32.self))] = try top()
    case "\u{94}": memo[memo.count] = try top()
    case "h": try recall(Int(try reader.take(UInt8.self)))
    case "j": try recall(Int(try reader.take(UInt32.self)))
    case "0": _ = try pop()
    case "1": _ = try popGroup()
    case "2": stack.append(try top())
    // Objects
    case "c":
      stack.append(.name(try takeName()))
    case "\u{93}":
      guard case .string(let name) = try pop(), case .string(let module) = try pop() else {
        throw Failure(problem: "a name must be a string")
      }
      stack.append(.name(try PickledName(module: module, name: name)))
    case "R", "\u{81}": try call(arguments: elements(pop()), function: pop())
    case "\u{92}":
      _ = try pop()  // named arguments
      try call(arguments: elements(pop()), function: pop())
    case "i":
      let name = try takeName()
      try call(arguments: popGroup(), function: .name(name))
    case "o":
      let group = try popGroup()
      guard let function = group.first else { throw Failure(problem: "a class is missing") }
      try call(arguments: Array(group.dropFirst()), function: function)
    case "b":
      _ = try pop()
      try setAttributes()
    case "Q":
      let identifier = try pop()
      let storage = try storage(identifier)
      storages[storage.key] = storage
      stack.append(.storage(storage))
    default:
      throw Failure(
        problem: "the instruction 0x\([code].hexadecimal) is not used for tensors or containers"
      )
    }
    return nil
  }
}

// MARK: - Stack

extension Unpickler {
  /// The values of a group may not be taken from below its mark.
  private mutating func pop() throws(Failure) -> Value {
    guard stack.count > marks.last ?? 0, let value = stack.popLast() else {
      throw Failure(problem: "a value is missing")
    }
    return value
  }

  private func top() throws(Failure) -> Value {
    guard stack.count > marks.last ?? 0, let value = stack.last else {
      throw Failure(problem: "a value is missing")
    }
    return value
  }

  private mutating func popLast(_ count: Int) throws(Failure) -> [Value] {
    guard stack.count - (marks.last ?? 0) >= count else {
      throw Failure(problem: "a value is missing")
    }
    defer { stack.removeLast(count) }
    return Array(stack.suffix(count))
  }

  private mutating func popGroup() throws(Failure) -> [Value] {
    guard let mark = marks.popLast() else { throw Failure(problem: "a mark is missing") }
    defer { stack.removeLast(stack.count - mark) }
    return Array(stack[mark...])
  }

  private mutating func pushSequence(_ values: [Value]) {
    stack.append(.sequence(containers.count))
    containers.append(values)
  }

  private mutating func pushDictionary(_ values: [Value]) throws(Failure) {
    guard values.count.isMultiple(of: 2) else { throw Failure(problem: "a key has no value") }
    stack.append(.dictionary(containers.count))
    containers.append(values)
  }

  private mutating func appendToSequence(_ values: [Value]) throws(Failure) {
    switch try top() {
    case .sequence(let index): containers[index] += values
    case .dictionary(let index):
      // An object of a class that is a list.
      for value in values {
        containers[index] += [.int(containers[index].count / 2), value]
      }
    default: throw Failure(problem: "no list to append to")
    }
  }

  private mutating func appendToDictionary(_ values: [Value]) throws(Failure) {
    guard case .dictionary(let index) = try top(), values.count.isMultiple(of: 2) else {
      throw Failure(problem: "no dictionary to set members of")
    }
    containers[index] += values
  }

  private mutating func recall(_ index: Int) throws(Failure) {
    guard let value = memo[index] else {
      throw Failure(problem: "the memo has no value \(index)")
    }
    stack.append(value)
  }

  private mutating func pushText(count: Int) throws {
    guard let text = String(validating: try reader.take(count), as: UTF8.self) else {
      throw Failure(problem: "a text is not valid UTF-8")
    }
    stack.append(.string(text))
  }

  /// Bytes are read over; where a key is a text of Python 2, it is one of ASCII.
  private mutating func pushBytes(count: Int) throws {
    let bytes = try reader.take(count)
    stack.append(String(validating: bytes, as: UTF8.self).map(Value.string) ?? .none)
  }

  /// An integer in two's complement; no size has more than 64 bits, so longer ones are read over.
  private mutating func pushLong(count: Int) throws {
    let bytes = try reader.take(count)
    guard bytes.count <= 8 else { return stack.append(.none) }
    let fill: UInt8 = (bytes.last ?? 0) & 0x80 == 0 ? 0 : 0xFF
    let padded = bytes + repeatElement(fill, count: 8 - bytes.count)
    stack.append(.int(padded.reversed().reduce(0) { $0 << 8 | Int($1) }))
  }

  private mutating func takeCount() throws -> Int {
    Int(clamping: try reader.take(UInt64.self))
  }

  /// A module and a name, a line each.
  private mutating func takeName() throws -> PickledName {
    let module = String(decoding: try reader.takeLine(), as: UTF8.self)
    return try PickledName(
      module: module, name: String(decoding: try reader.takeLine(), as: UTF8.self))
  }
}

// MARK: - Objects

extension Unpickler {
  private mutating func call(arguments: [Value], function: Value) throws(Failure) {
    switch function {
    case .name(.orderedDictionary) where arguments.isEmpty: try pushDictionary([])
    case .name(.rebuildTensor) where arguments.count >= 6:
      stack.append(.tensor(try tensor(arguments)))
    case .name(.rebuildParameter) where arguments.count == 3:
      guard case .tensor = arguments[0] else {
        throw Failure(problem: "a parameter without a tensor")
      }
      stack.append(arguments[0])
    case .name(.opaque(let name)):
      calledNames.insert(name)
      try pushDictionary([])
    default: throw Failure(problem: "a call that does not make a tensor, storage or container")
    }
  }

  /// Attributes of a dictionary (torch sets `_metadata`) and the state of an object are read over.
  private func setAttributes() throws(Failure) {
    guard case .dictionary = try top() else {
      throw Failure(problem: "attributes are set on a value that is not a dictionary")
    }
  }

  /// The storage that `("storage", type, key, device, count)` stands for; before torch 1.6 a view on
  /// another storage follows, or none.
  private func storage(_ identifier: Value) throws(Failure) -> TorchStorage {
    let parts = try elements(identifier)
    guard parts.count == 5 || parts.count == 6, case .string("storage") = parts[0],
      case .name(let name) = parts[1],
      case .string(let key) = parts[2], case .int(let count) = parts[4], count >= 0
    else { throw Failure(problem: "an identifier that is not of a storage") }
    guard case .storage(let type) = name else {
      throw Failure(
        problem: "storage type \(name) is not supported; convert the file to safetensors")
    }
    if parts.count == 6 {
      guard case .none = parts[5] else {
        throw Failure(
          problem: "a storage that is a view of another is not supported; "
            + "load the file and save it again with torch 1.6 or newer")
      }
    }
    return TorchStorage(key: key, type: type, elementCount: count)
  }

  /// The tensor of `(storage, offset, shape, strides, …)`.
  private func tensor(_ arguments: [Value]) throws(Failure) -> TorchTensor {
    guard case .storage(let storage) = arguments[0], case .int(let offset) = arguments[1] else {
      throw Failure(problem: "a tensor without storage")
    }
    let shape = try integers(arguments[2])
    let strides = try integers(arguments[3])
    guard
      let tensor = TorchTensor(storage: storage, offset: offset, shape: shape, strides: strides)
    else {
      throw Failure(
        problem: "a tensor of shape \(shape), strides \(strides) and offset \(offset) does not fit "
          + "its storage of \(storage.elementCount) elements")
    }
    return tensor
  }

  private func elements(_ value: Value) throws(Failure) -> [Value] {
    guard case .sequence(let index) = value else { throw Failure(problem: "a tuple is missing") }
    return containers[index]
  }

  private func integers(_ value: Value) throws(Failure) -> [Int] {
    let elements = try elements(value)
    // Torch allows no more dimensions; one long tuple must not be copied into every tensor.
    guard elements.count <= 64 else { throw Failure(problem: "a tensor with over 64 dimensions") }
    return try elements.map { (element) throws(Failure) in
      guard case .int(let integer) = element else {
        throw Failure(problem: "a size is not a number")
      }
      return integer
    }
  }
}
