import Autograd
import Diffusion
import PipelineCore
import PreferenceModels

/// Parts make the images that the model looks at; whoever merges learns from them.
extension TrainPreference: DivisibleStage {
  static let databases: [String] = []

  func isDivided(_ item: Item) -> Bool {
    if case .images = item { true } else { false }
  }

  func position(of item: Item) -> Int {
    guard let place = positions[block(of: item)] else {
      preconditionFailure("images that no step looks at")
    }
    return place
  }

  func partKey(of item: Item) -> String {
    let block = block(of: item)
    return "\(block.split), \(block.view.name), comparisons \(block.pairs.lowerBound) to "
      + "\(block.pairs.upperBound - 1)"
  }

  private func block(of item: Item) -> ImageStore.Block {
    guard case .images(let block) = item else { preconditionFailure("not divided") }
    return block
  }

  func write(_ output: Output, of item: Item, to writer: inout OutputWriter) throws {
    guard case .images(let images) = output else { return }
    writer.add(images.shape) { $0.add($1) }
    writer.add(try store.bytes(images, block(of: item)))
  }

  func output(of item: Item, from reader: inout OutputReader) throws -> Output {
    let shape = try reader.list { reader throws(BadOutput) in try reader.int() }
    let bytes = try reader.bytes()
    let side = try ModelFolder(path: settings.start).preferenceConfiguration().imageSize
    let expected = [2 * block(of: item).pairs.count, side, side, 3]
    guard shape == expected, bytes.count == expected.reduce(1, *) else {
      throw BadOutput("images \(shape) of \(bytes.count) bytes in place of \(expected)")
    }
    return .images(Tensor(bytes.map { Float($0) / 255 }, shape: shape))
  }

  func together(_ body: () throws -> Void) throws { try body() }
  func closeDatabases() {}
}
