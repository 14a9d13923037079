/// Walks through the nested containers of a pickle, which may hold each other in circles.
struct TensorCollector {
  private let containers: [[Unpickler.Value]]
  private(set) var tensors: [(String, TorchTensor)] = []
  /// Numbers that are no tensors, by path.
  private(set) var numbers: [String: Double] = [:]
  private var visitCount = 0

  init(_ root: Unpickler.Value, containers: [[Unpickler.Value]]) throws(Unpickler.Failure) {
    self.containers = containers
    try collect(root, name: "", depth: 0)
  }

  private mutating func collect(
    _ value: Unpickler.Value, name: String, depth: Int
  ) throws(Unpickler.Failure) {
    visitCount += 1
    guard depth <= 64, visitCount <= 1_000_000, name.utf8.count <= 4096 else {
      throw Unpickler.Failure(
        problem: "containers are nested more than 64 deep, contain themselves or over a million "
          + "values, or have names of over 4,096 bytes")
    }
    switch value {
    case .tensor(let tensor): tensors.append((name, tensor))
    case .sequence(let index):
      for (position, element) in containers[index].enumerated() {
        try collect(element, name: Self.path(name, "\(position)"), depth: depth + 1)
      }
    case .dictionary(let index):
      let members = containers[index]
      for position in stride(from: 0, to: members.count - 1, by: 2) {
        try collect(
          members[position + 1], name: Self.path(name, Self.text(ofKey: members[position])),
          depth: depth + 1)
      }
    case .int(let number): numbers[name] = Double(number)
    case .double(let number): numbers[name] = number
    case .none, .bool, .string, .name, .storage: break
    }
  }

  /// Frameworks use classes as keys, among others; of tensors all keys are texts or numbers.
  private static func text(ofKey key: Unpickler.Value) -> String {
    switch key {
    case .string(let text): text
    case .int(let number): "\(number)"
    case .double(let number): "\(number)"
    case .bool(let value): "\(value)"
    case .none: "none"
    case .name(let name): "\(name)"
    case .storage(let storage): "storage \(storage.key)"
    case .sequence(let index), .dictionary(let index): "value \(index)"
    case .tensor: "tensor"
    }
  }

  private static func path(_ parent: String, _ key: String) -> String {
    parent.isEmpty ? key : "\(parent).\(key)"
  }
}
