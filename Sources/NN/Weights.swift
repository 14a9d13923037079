import Autograd
public import HostResources
import RandomStreams

/// The initialization of an array when a model is trained from scratch.
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
  /// Frozen arrays of at least so many numbers stay in half precision; smaller ones would save little.
  public static let smallestHalf = 1 << 17

  let root: WeightRoot
  let path: String
  let adapters: AdapterSet?

  /// A scope over everything in `source`.
  ///
  /// - Parameter isTrainable: whether parameters are leaves that gradients are wanted for
  public init(_ source: some WeightSource, isTrainable: Bool = false) {
    self.init(root: WeightRoot(source: source, seed: 0, isTrainable: isTrainable), path: "")
  }

  /// A scope over everything in `source`, and fresh values of what it lacks.
  ///
  /// - Parameter isFresh: the names of arrays that are drawn if the source lacks them
  public init(
    _ source: some WeightSource, isTrainable: Bool, freshSeed seed: UInt64,
    isFresh: @escaping (String) -> Bool
  ) {
    self.init(
      root: WeightRoot(source: source, seed: seed, isTrainable: isTrainable, isFresh: isFresh),
      path: "")
  }

  /// A scope that draws fresh values, the same for the same seed and names.
  public init(randomSeed seed: UInt64, isTrainable: Bool = true) {
    self.init(root: WeightRoot(source: nil, seed: seed, isTrainable: isTrainable), path: "")
  }

  /// A scope of any arrays that layers ask for, of no values: for plans alone.
  ///
  /// - Parameter format: how large ones are kept that are only read; nil: in single precision
  public init(planned format: HalfFormat?, isTrainable: Bool = false) {
    self.init(
      root: WeightRoot(source: nil, seed: 0, isTrainable: isTrainable, plannedFormat: format),
      path: "")
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

/// The state shared by all scopes of one set of weights.
final class WeightRoot {
  let source: (any WeightSource)?
  private let seed: UInt64
  private let isTrainable: Bool
  /// Of what is not read.
  private let plannedFormat: HalfFormat?
  private let isFresh: (String) -> Bool
  private(set) var byName: [String: Parameter] = [:]
  private(set) var parameters: [Parameter] = []

  init(
    source: (any WeightSource)?, seed: UInt64, isTrainable: Bool, plannedFormat: HalfFormat? = nil,
    isFresh: @escaping (String) -> Bool = { _ in false }
  ) {
    self.source = source
    self.seed = seed
    self.isTrainable = isTrainable
    self.plannedFormat = plannedFormat
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
      try source.requireFloats(name)
      parameter = try read(name, from: source, shape: shape, layout: layout)
    } else if let plannedFormat, isKeptHalf(shape) {
      parameter = Parameter(
        name: name, storedShape: shape, layout: layout, format: plannedFormat
      ) { $0.update(repeating: 0) }
    } else {
      parameter = Parameter(
        name: name, storedShape: shape, layout: layout, isTrainable: isTrainable
      ) { fill($0, name: name, initial) }
    }
    byName[name] = parameter
    parameters.append(parameter)
    return parameter
  }

  private func read(
    _ name: String, from source: any WeightSource, shape: [Int], layout: WeightLayout
  ) throws -> Parameter {
    if isKeptHalf(shape), let format = source.halfFormat(of: name) {
      return try Parameter(name: name, storedShape: shape, layout: layout, format: format) {
        try source.readHalf(name, into: $0)
      }
    }
    return try Parameter(
      name: name, storedShape: shape, layout: layout, isTrainable: isTrainable
    ) { try source.read(name, into: $0) }
  }

  /// Whether an array of half precision stays in it.
  private func isKeptHalf(_ shape: [Int]) -> Bool {
    !isTrainable && shape.reduce(1, *) >= Weights.smallestHalf
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
