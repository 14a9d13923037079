import Autograd
import TensorCore

/// How fresh values of an array are drawn when a model starts from nothing.
public enum Initializer: Sendable {
  case constant(Float)
  /// Equal parts of the array, each of one value.
  case perPart([Float])
  case normal(deviation: Float)
  /// Uniform within `1 / sqrt(fanIn)` of 0, as PyTorch starts linear and convolution layers.
  case uniform(fanIn: Int)
}

/// A scope of named weights, from which a layer takes what it needs.
///
/// The path of scopes is the key in the checkpoint, so the constructors of layers are the key mapping:
/// `weights["down_blocks"][0]["resnets"][1]` holds what a checkpoint names `down_blocks.0.resnets.1.*`.
/// Layers built twice from one root share memory.
public struct Weights {
  let root: WeightRoot
  let path: String
  let adapters: AdapterSet?

  /// A scope over everything in `source`.
  ///
  /// - Parameters:
  ///   - isTrainable: whether parameters are leaves that gradients are wanted for
  ///   - readsValues: false: names, shapes and types are checked alone; what is built computes nothing
  public init(_ source: some WeightSource, isTrainable: Bool = false, readsValues: Bool = true) {
    self.init(
      root: WeightRoot(
        source: source, seed: 0, isTrainable: isTrainable, readsValues: readsValues), path: "")
  }

  /// A scope over everything in `source`, and fresh values of what it lacks.
  ///
  /// - Parameters:
  ///   - readsValues: false: names, shapes and types are checked alone; what is built computes nothing
  ///   - isFresh: the names of arrays that are drawn if the source lacks them
  public init(
    _ source: some WeightSource, isTrainable: Bool, freshSeed seed: UInt64,
    readsValues: Bool = true, isFresh: @escaping (String) -> Bool
  ) {
    self.init(
      root: WeightRoot(
        source: source, seed: seed, isTrainable: isTrainable, readsValues: readsValues,
        isFresh: isFresh), path: "")
  }

  /// A scope that draws fresh values, the same for the same seed and names.
  public init(randomSeed seed: UInt64, isTrainable: Bool = true) {
    self.init(root: WeightRoot(source: nil, seed: seed, isTrainable: isTrainable), path: "")
  }

  private init(root: WeightRoot, path: String, adapters: AdapterSet? = nil) {
    self.root = root
    self.path = path
    self.adapters = adapters
  }

  public subscript(name: String) -> Weights {
    Weights(root: root, path: path.isEmpty ? name : "\(path).\(name)", adapters: adapters)
  }

  public subscript(index: Int) -> Weights { self["\(index)"] }

  /// The same weights, whose linear layers add what `adapters` holds for them.
  public func adapted(by adapters: AdapterSet) -> Weights {
    Weights(root: root, path: path, adapters: adapters)
  }

  /// The array `name` of this scope.
  ///
  /// - Parameter shape: the extents expected in the checkpoint; a checkpoint may have further extents
  ///   of 1 at the end (1 x 1 convolutions where a linear layer is expected) or lack them
  public func parameter(
    _ name: String, shape: [Int], initial: Initializer, layout: WeightLayout = .asStored
  ) throws -> Parameter {
    try root.parameter(self[name].path, shape: shape, initial: initial, layout: layout)
  }

  /// Whether the checkpoint holds `name` in this scope; false when values are drawn afresh.
  public func contains(_ name: String) -> Bool {
    root.source?.shape(of: self[name].path) != nil
  }

  /// Every parameter taken so far through any scope of the same root, in order.
  public var parameters: [Parameter] { root.parameters }

  /// Throws if the source holds names that no layer asked for, other than those `isIgnored` accepts.
  public func requireAllUsed(except isIgnored: (String) -> Bool = { _ in false }) throws {
    let unused = (root.source?.names ?? []).filter { root.byName[$0] == nil && !isIgnored($0) }
    guard unused.isEmpty else {
      throw WeightError.unused(path: root.source?.path, names: unused.sorted())
    }
  }
}

/// What all scopes of one set of weights share.
final class WeightRoot {
  let source: (any WeightSource)?
  private let seed: UInt64
  private let isTrainable: Bool
  private let readsValues: Bool
  private let isFresh: (String) -> Bool
  private(set) var byName: [String: Parameter] = [:]
  private(set) var parameters: [Parameter] = []

  init(
    source: (any WeightSource)?, seed: UInt64, isTrainable: Bool, readsValues: Bool = true,
    isFresh: @escaping (String) -> Bool = { _ in false }
  ) {
    self.source = source
    self.seed = seed
    self.isTrainable = isTrainable
    self.readsValues = readsValues
    self.isFresh = isFresh
  }

  func parameter(
    _ name: String, shape: [Int], initial: Initializer, layout: WeightLayout
  ) throws -> Parameter {
    if let known = byName[name] { return known }
    let parameter: Parameter
    if let source, source.shape(of: name) != nil || !isFresh(name) {
      guard let found = source.shape(of: name) else {
        throw WeightError.missing(path: source.path, name: name, expected: shape)
      }
      guard found.droppingTrailingOnes == shape.droppingTrailingOnes else {
        throw WeightError.shapeMismatch(
          path: source.path, name: name, expected: shape, found: found)
      }
      if !readsValues { try source.requireFloats(name) }
      parameter =
        readsValues
        ? try read(name, from: source, shape: shape, layout: layout)
        : Parameter(name: name, storedShape: shape, layout: layout)
    } else if !readsValues {
      parameter = Parameter(name: name, storedShape: shape, layout: layout)
    } else {
      let stored = Tensor(uninitialized: shape)
      fill(stored.mutableElements, name: name, initial)
      parameter = Parameter(name: name, stored: stored, layout: layout, isTrainable: isTrainable)
    }
    byName[name] = parameter
    parameters.append(parameter)
    return parameter
  }

  private func read(
    _ name: String, from source: any WeightSource, shape: [Int], layout: WeightLayout
  ) throws -> Parameter {
    let count = shape.reduce(1, *)
    if !isTrainable, count >= WeightSize.smallestHalf, let format = source.halfFormat(of: name) {
      let storage = HalfStorage(count: count, format: format)
      try source.readHalf(
        name, into: UnsafeMutableBufferPointer(start: storage.pointer, count: count))
      return Parameter(
        name: name, stored: HalfTensor(shape: shape, storage: storage), layout: layout)
    }
    let stored = Tensor(uninitialized: shape)
    try source.read(name, into: stored.mutableElements)
    return Parameter(name: name, stored: stored, layout: layout, isTrainable: isTrainable)
  }

  private func fill(
    _ buffer: UnsafeMutableBufferPointer<Float>, name: String, _ initial: Initializer
  ) {
    var stream = RandomStream(seed: seed, purpose: "initial " + name)
    switch initial {
    case .constant(let value): buffer.update(repeating: value)
    case .perPart(let values):
      for index in buffer.indices { buffer[index] = values[index * values.count / buffer.count] }
    case .normal(let deviation):
      stream.fillNormal(buffer)
      for index in buffer.indices { buffer[index] *= deviation }
    case .uniform(let fanIn):
      let bound = 1 / Float(fanIn).squareRoot()
      for index in buffer.indices { buffer[index] = bound * (2 * Float(stream.uniform()) - 1) }
    }
  }
}

extension [Int] {
  fileprivate var droppingTrailingOnes: [Int] {
    var extents = self
    while extents.count > 1, extents.last == 1 { extents.removeLast() }
    return extents
  }
}
