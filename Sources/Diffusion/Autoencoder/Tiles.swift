import Autograd

/// A network run on overlapping parts of an image, one at a time, whose results are blended where they
/// overlap.
///
/// Parts do not see each other, so the result differs a little from that of the whole; it is the one that
/// diffusers gives with `enable_tiling`.
///
/// - Source: `AutoencoderKL.tiled_decode` of diffusers
struct Tiles {
  /// Height and width of a part, at the network's input and at its output.
  let inputSide: Int
  let outputSide: Int

  /// - Parameter x: `[batch, height, width, channels]`
  func callAsFunction(_ x: Tensor, _ body: (Tensor) -> Tensor) -> Tensor {
    let (height, width) = (x.shape[1], x.shape[2])
    guard max(height, width) > inputSide else { return body(x) }
    // A quarter of each part is blended with the one before.
    let distance = max(1, inputSide * 3 / 4)
    let overlap = outputSide / 4
    let kept = outputSide - overlap
    var above: [Tensor] = []
    var bands: [Tensor] = []
    for top in stride(from: 0, to: height, by: distance) {
      let band = x.slice(axis: 1, top..<min(top + inputSide, height))
      var row: [Tensor] = []
      for (column, left) in stride(from: 0, to: width, by: distance).enumerated() {
        var tile = body(band.slice(axis: 2, left..<min(left + inputSide, width)))
        if !above.isEmpty { tile = blended(above[column], into: tile, axis: 1, over: overlap) }
        if let before = row.last { tile = blended(before, into: tile, axis: 2, over: overlap) }
        row.append(tile)
      }
      let parts = row.map { tile in
        tile.slice(axis: 1, 0..<min(kept, tile.shape[1]))
          .slice(axis: 2, 0..<min(kept, tile.shape[2]))
      }
      bands.append(concatenated(parts, axis: 2))
      above = row
    }
    return concatenated(bands, axis: 1)
  }

  /// `second`, whose beginning the end of `first` leads over to.
  private func blended(_ first: Tensor, into second: Tensor, axis: Int, over extent: Int) -> Tensor
  {
    let (length, ownLength) = (first.shape[axis], second.shape[axis])
    let extent = min(length, ownLength, extent)
    guard extent > 0 else { return second }
    let end = first.slice(axis: axis, length - extent..<length)
    let beginning = second.slice(axis: axis, 0..<extent)
    let inner = second.shape[(axis + 1)...].reduce(1, *)
    func weights(_ weight: (Float) -> Float) -> Tensor {
      Tensor(
        (0..<beginning.count).map { weight(Float($0 / inner % extent) / Float(extent)) },
        shape: beginning.shape)
    }
    let mixed = end * weights { 1 - $0 } + beginning * weights { $0 }
    return concatenated([mixed, second.slice(axis: axis, extent..<ownLength)], axis: axis)
  }
}
