use super::*;

fn words(octets: &[u8]) -> Vec<u32> {
    octets.chunks(4).map(|word| u32::from_be_bytes(word.try_into().expect("whole words"))).collect()
}

fn header(octets: &[u8]) -> Header {
    Header::decode(octets[..HEADER_LEN].try_into().expect("a header")).expect("readable")
}

#[test]
fn an_open_is_that_of_the_standard() {
    let packet = open(7, 5, "abc");
    // Version 1, type 1, network byte order; payload of 4 + 4 + 8 octets.
    assert_eq!(words(&packet), [0x0101_1000, 0, 0, 7, 16, 0x0500_0000, 0, 3, 0x6162_6300]);
}

#[test]
fn a_registration_names_its_subtree_and_priority() {
    let packet = register(9, 8, &Oid::from([1, 3, 6]));
    assert_eq!(words(&packet), [0x0103_1000, 9, 0, 8, 20, 0x007f_0000, 0x0300_0000, 1, 3, 6]);
}

#[test]
fn a_response_has_the_numbers_of_its_question_and_pads_its_strings() {
    let question = header(&words_of(&[0x0105_1000, 1, 2, 3, 0]));
    let variables = [(Oid::from([1, 3]), Value::Octets(vec![0xff, 0xfe, 0xfd, 0xfc, 0xfb]))];
    let packet = respond(&question, Ok(&variables));
    let expected =
        [0x0112_1000, 1, 2, 3, 36, 0, 0, 0x0004_0000, 0x0200_0000, 1, 3, 5, 0xfffe_fdfc, 0xfb00_0000];
    assert_eq!(words(&packet), expected);
    let refused = respond(&question, Err((Fault::NotWritable, 1)));
    assert_eq!(words(&refused)[5..], [0, 0x0011_0001]);
}

fn words_of(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

#[test]
fn every_type_of_value_is_written_as_the_standard_numbers_it() {
    let kinds = [
        (Value::Integer(-1), 2, vec![u32::MAX]),
        (Value::Oid(Oid::from([5])), 6, vec![0x0100_0000, 5]),
        (Value::Counter32(1), 65, vec![1]),
        (Value::Gauge32(2), 66, vec![2]),
        (Value::TimeTicks(3), 67, vec![3]),
        (Value::Counter64(4 << 32), 70, vec![4, 0]),
        (Value::NoSuchObject, 128, vec![]),
        (Value::NoSuchInstance, 129, vec![]),
        (Value::EndOfMibView, 130, vec![]),
    ];
    for (value, kind, data) in kinds {
        let packet = notify(0, 0, &[(Oid::default(), value)]);
        assert_eq!(words(&packet)[5..], [&[kind << 16, 0], data.as_slice()].concat());
    }
}

#[test]
fn questions_are_read_in_either_byte_order() {
    for network_order in [true, false] {
        let order = |word: u32| if network_order { word.to_be_bytes() } else { word.to_le_bytes() };
        let flags = if network_order { NETWORK_BYTE_ORDER } else { 0 };
        let mut packet = vec![1, kind::GET_BULK, flags, 0];
        let numbers = |out: &mut Vec<u8>, list: &[u32]| list.iter().for_each(|n| out.extend(order(*n)));
        numbers(&mut packet, &[4, 5, 6, 36]);
        let mut payload: Vec<u8> =
            [1u16, 10].map(|n| if network_order { n.to_be_bytes() } else { n.to_le_bytes() }).concat();
        payload.extend([2, 4, 1, 0]); // .1.3.6.1.4.9586.100, included
        numbers(&mut payload, &[9586, 100]);
        payload.extend([0, 0, 0, 0]); // no end
        payload.extend([1, 0, 0, 0]);
        numbers(&mut payload, &[1]);
        payload.extend([1, 0, 0, 0]);
        numbers(&mut payload, &[2]);
        let header = header(&packet);
        assert_eq!((header.session, header.transaction, header.packet, header.payload), (4, 5, 6, 36));
        let included =
            Range { start: Oid::from([1, 3, 6, 1, 4, 9586, 100]), include: true, end: Oid::default() };
        let plain = Range { start: Oid::from([1]), include: false, end: Oid::from([2]) };
        let expected = Heard::GetBulk { once: 1, times: 10, ranges: vec![included, plain] };
        assert_eq!(Heard::decode(&header, &payload), Ok(expected));
        for length in 0..payload.len() {
            // Whatever is cut off: never more than was sent, never a panic.
            let _ = Heard::decode(&header, &payload[..length]);
        }
    }
}

#[test]
fn another_version_a_huge_packet_and_a_short_one_are_refused() {
    let decode = |words: &[u32]| Header::decode(words_of(words).as_slice().try_into().expect("a header"));
    assert_eq!(decode(&[0x0205_1000, 0, 0, 0, 0]), Err(Malformed::Version(2)));
    assert_eq!(decode(&[0x0105_1000, 0, 0, 0, 1 << 21]), Err(Malformed::Long(1 << 21)));
    let get = decode(&[0x0105_1000, 0, 0, 0, 4]).expect("readable");
    assert_eq!(Heard::decode(&get, &[1, 0, 0, 0]), Err(Malformed::Short));
    let elsewhere = decode(&[0x0105_1800, 0, 0, 0, 4]).expect("readable");
    assert_eq!(Heard::decode(&elsewhere, &[0; 4]), Ok(Heard::Context));
}
