import Autograd

/// Tiled execution of a network: overlapping parts of an image are processed one at a time and the
/// results blended where they overlap.
///
/// Tiles do not see each other, so the result differs slightly from that of the whole image; it
/// equals that of diffusers with `enable_tiling`.
///
/// - Source: `AutoencoderKL.tiled_decode` of diffusers
struct Tiles {
  /// The height and width of a tile, at the network's input and output.
  let inputSide: Int
  let outputSide: Int

  /// - Parameter x: `[batch, height, width, channels]`
  func callAsFunction(_ x: Tensor, _ body: (Tensor) -> Tensor) -> Tensor {
    let (height, width) = (x.shape[1], x.shape[2])
    guard max(height, width) > inputSide else { return body(x) }
    // A quarter of each tile is blended with the previous one.
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

  /// Returns `second` with its beginning blended with the end of `first`.
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
