import Imaging
import PipelineCore

/// Images take nearly all the time, so parts draw these; whoever merges scores candidates and images.
extension WriteReport: DivisibleStage {
  static let databases: [String] = []

  func isDivided(_ item: Item) -> Bool {
    if case .images = item { true } else { false }
  }

  func position(of item: Item) -> Int { place(of: item).prompt }

  func partKey(of item: Item) -> String {
    let place = place(of: item)
    return "prompt \(place.prompt), guidance \(place.scale)"
  }

  private func place(of item: Item) -> (prompt: Int, scale: Int) {
    guard case .images(let prompt, let scale) = item else { preconditionFailure("not divided") }
    return (prompt, scale)
  }

  func write(_ output: Output, of item: Item, to writer: inout OutputWriter) {
    guard case .images(let images) = output else { return }
    writer.add(images) { $0.add($1) }
  }

  func output(of item: Item, from reader: inout OutputReader) throws -> Output {
    let images = try reader.list { reader throws(BadOutput) in try reader.bytes() }
    let expected = settings.picturesPerPrompt * models.count
    guard images.count == expected else {
      throw BadOutput("\(images.count) images instead of \(expected)")
    }
    guard images.allSatisfy({ (try? RGBImage(decoding: $0)) != nil }) else {
      throw BadOutput("an image cannot be decoded")
    }
    return .images(images)
  }

  func together(_ body: () throws -> Void) throws { try body() }
  func closeDatabases() {}
}
