import Imaging
import PipelineCore

/// Pictures take nearly all the time, so parts draw these; whoever merges has candidates and pictures judged.
extension WriteReport: DivisibleStage {
  static let databases: [String] = []

  func isDivided(_ item: Item) -> Bool {
    if case .pictures = item { true } else { false }
  }

  func position(of item: Item) -> Int { place(of: item).prompt }

  func partKey(of item: Item) -> String {
    let place = place(of: item)
    return "prompt \(place.prompt), guidance \(place.scale)"
  }

  private func place(of item: Item) -> (prompt: Int, scale: Int) {
    guard case .pictures(let prompt, let scale) = item else { preconditionFailure("not divided") }
    return (prompt, scale)
  }

  func write(_ output: Output, of item: Item, to writer: inout OutputWriter) {
    guard case .pictures(let pictures) = output else { return }
    writer.add(pictures) { $0.add($1) }
  }

  func output(of item: Item, from reader: inout OutputReader) throws -> Output {
    let pictures = try reader.list { reader throws(BadOutput) in try reader.bytes() }
    let expected = settings.picturesPerPrompt * models.count
    guard pictures.count == expected else {
      throw BadOutput("\(pictures.count) images instead of \(expected)")
    }
    guard pictures.allSatisfy({ (try? RGBImage(decoding: $0)) != nil }) else {
      throw BadOutput("an image cannot be decoded")
    }
    return .pictures(pictures)
  }

  func together(_ body: () throws -> Void) throws { try body() }
  func closeDatabases() {}
}
